"""Intervals: the published values, and that they hold the truth as often as they say."""

from statistics import NormalDist

import numpy as np
import pytest

from cifarlab import metrics
from cifarlab.errors import CifarlabError


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_interval_has_the_published_values(successes, n, low, high):
    assert metrics.wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_widens_with_confidence_and_contains_the_share():
    narrow, wide = (metrics.wilson_interval(930, 1000, level) for level in (0.9, 0.99))
    assert wide[0] < narrow[0] < 0.93 < narrow[1] < wide[1]


@pytest.mark.parametrize(("share", "n"), [(0.93, 1000), (0.7, 200), (0.98, 300)])
def test_wilson_interval_covers_the_truth_as_often_as_it_says(share, n):
    draws = np.random.default_rng(5).binomial(n, share, 20_000)
    bounds = {k: metrics.wilson_interval(k, n) for k in set(draws.tolist())}
    covered = np.mean([bounds[k][0] <= share <= bounds[k][1] for k in draws.tolist()])
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("support", "recalls"),
    [
        ((400, 60, 25), (0.95, 0.8, 0.9)),
        ((400, 60, 25), (0.6, 0.5, 0.2)),
        ((1000,) * 10, (0.97, 0.99, 0.9, 0.85) * 2 + (0.999, 0.94)),
        ((1000,) * 5 + (20,) * 5, (0.95, 0.8, 0.9, 0.99, 0.7) * 2),
    ],
)
def test_balanced_interval_covers_the_truth_as_often_as_it_says(support, recalls):
    draws = np.random.default_rng(6).binomial(support, recalls, (1500, len(support)))
    bounds = [metrics.balanced_accuracy_interval(hits, support) for hits in draws]
    covered = np.mean([low <= np.mean(recalls) <= high for low, high in bounds])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_balanced_interval_of_small_classes_without_a_mistake_is_not_certain():
    draws = np.random.default_rng(6).binomial((5000, 50), (0.99, 0.97), (1500, 2))
    bounds = [metrics.balanced_accuracy_interval(hits, (5000, 50)) for hits in draws]
    assert np.mean([low <= 0.98 <= high for low, high in bounds]) > 0.94


def test_balanced_interval_of_one_class_is_wilsons():
    expected = metrics.wilson_interval(93, 100)
    found = metrics.balanced_accuracy_interval([93, 0], [100, 0])
    assert found == pytest.approx(expected, abs=1e-12)


def normal_scores(random, area, m, n, spread=1.0):
    """Scores of two kinds of rows, normal, with that area under the ROC curve."""
    apart = NormalDist().inv_cdf(area) * np.hypot(1, spread)
    return random.normal(apart, 1, m), random.normal(0, spread, n)


@pytest.mark.parametrize(
    ("area", "m", "n", "spread"),
    [(0.7, 60, 40, 1), (0.93, 300, 100, 1), (0.93, 300, 100, 3), (0.99, 500, 30, 1)],
)
def test_auroc_interval_covers_the_truth_as_often_as_it_says(area, m, n, spread):
    """Or oftener, near 1: there the normal interval of the same variance holds it in 77 %."""
    random = np.random.default_rng(8)
    draws = (normal_scores(random, area, m, n, spread) for _ in range(600))
    bounds = [metrics.auroc_interval(*draw) for draw in draws]
    assert np.mean([low <= area <= high for low, high in bounds]) > 0.93
    assert np.mean([high - low for low, high in bounds]) < 0.25


def test_auroc_interval_of_many_rows_has_delongs_variance():
    above, below = normal_scores(np.random.default_rng(9), 0.8, 900, 700)
    below[:300] = np.round(below[:300], 1)
    above[:300] = np.round(above[:300], 1)  # some are equal
    wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    variance = sum(wins.mean(axis=1 - k).var(ddof=1) / wins.shape[k] for k in (0, 1))
    half = 1.959964 * np.sqrt(variance)
    expected = wins.mean() - half, wins.mean() + half
    assert metrics.auroc_interval(above, below) == pytest.approx(expected, abs=1e-3)


def test_auroc_interval_of_perfect_order_is_not_certain():
    low, high = metrics.auroc_interval(range(9), range(-9, 0))
    assert 0.4 < low < 0.7
    assert high == 1
    assert metrics.auroc_interval(range(-9, 0), range(9)) == pytest.approx((0, 1 - low))
    assert metrics.auroc_interval(range(900), range(-900, 0))[0] > 0.99


@pytest.mark.parametrize(("above", "below"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_auroc_interval_refuses_what_it_cannot_rank(above, below):
    with pytest.raises(CifarlabError, match="finite scores of either kind"):
        metrics.auroc_interval(above, below)


def test_mean_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(7).normal(0.94, 0.002, (1500, 3))
    bounds = [metrics.mean_interval(draw)[1:] for draw in draws]
    assert np.mean([low <= 0.94 <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.02)


def test_mean_interval_by_hand():
    # Mean 3, deviation sqrt(2.5), t(0.975, 4) = 2.7764: half width 2.7764 * sqrt(2.5 / 5).
    mean, low, high = metrics.mean_interval([1, 2, 3, 4, 5])
    assert (mean, low, high) == pytest.approx((3, 3 - 1.96324, 3 + 1.96324), abs=1e-4)
    assert metrics.mean_interval([1, 2, 3, 4, 5], within=(2, 3.5)) == (3, 2, 3.5)


def test_mean_of_one_run_has_no_interval():
    assert metrics.mean_interval([0.94]) == (0.94, None, None)
