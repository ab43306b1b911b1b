"""Two models on the same images, and two recipes over several seeds."""

import time

import numpy as np
import pytest
from scipy import stats

from cifarlab import metrics


def pair(seed, rows=300, classes=3, right_a=0.8, right_b=0.85):
    """Labels and the predictions of two models that are right so often."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    wrong = (labels + 1) % classes
    answers = (np.where(generator.random(rows) < r, labels, wrong) for r in (right_a, right_b))
    return labels, *answers


def differing(only_a, only_b, both=5):
    """Labels and predictions that differ on so many images."""
    a = np.array([0] * only_a + [1] * only_b + [0] * both)
    b = np.array([1] * only_a + [0] * only_b + [0] * both)
    return np.zeros(len(a), int), a, b


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (0, 1), (1, 0), (3, 3), (4, 5), (12, 2), (0, 30), (150, 190)]
)
def test_mcnemar_is_scipys_binomial_test(only_a, only_b):
    found = metrics.mcnemar(*differing(only_a, only_b))
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert found[:2] == (only_a, only_b)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_equal_models_rarely_raises_an_alarm():
    alarms = [metrics.mcnemar(*pair(seed, right_b=0.8)).p_value <= 0.05 for seed in range(600)]
    assert 0.01 < np.mean(alarms) < 0.06  # the exact test promises 5 % at most


def test_the_bootstrap_of_counts_is_that_of_images():
    labels, a, b = pair(0)
    difference, low, high = metrics.paired_bootstrap(labels, a, b)
    gains = (b == labels).astype(int) - (a == labels)
    draws = np.random.default_rng(1).integers(0, 300, (10_000, 300))
    expected = np.quantile(gains[draws].mean(axis=1), [0.025, 0.975])
    assert difference == pytest.approx(gains.mean())
    assert (low, high) == pytest.approx(tuple(expected), abs=0.0067)  # two images


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    covered = []
    for seed in range(500):
        _, low, high = metrics.paired_bootstrap(*pair(seed, 500), resamples=1000, seed=seed)
        covered.append(low <= 0.05 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_the_bootstrap_is_quick_and_its_seed_decides_it():
    case = pair(0, rows=10_000)
    began = time.perf_counter()
    first = metrics.paired_bootstrap(*case)
    assert time.perf_counter() - began < 2
    assert metrics.paired_bootstrap(*case) == first
    assert metrics.paired_bootstrap(*case, seed=1) != first
    narrow = metrics.paired_bootstrap(*case, confidence=0.5)
    assert first[1] < narrow[1] < first[0] < narrow[2] < first[2]


def test_models_that_answer_alike_differ_by_nothing():
    labels, a, _ = pair(0)
    assert metrics.paired_bootstrap(labels, a, a) == (0, 0, 0)


def test_holm_by_hand():
    # Sorted 0.005, 0.011, 0.02, 0.04, 0.13, times 5, 4, 3, 2, 1.
    found = metrics.holm([0.011, 0.02, 0.13, 0.005, 0.04])
    np.testing.assert_allclose(found, [0.044, 0.06, 0.13, 0.025, 0.08])
    np.testing.assert_allclose(metrics.holm([0.02, 0.03, 0.021]), [0.06, 0.06, 0.06])
    np.testing.assert_allclose(metrics.holm([0.6, 0.7]), [1, 1])


def test_holm_lets_one_false_alarm_pass_as_often_as_it_says():
    p = np.random.default_rng(0).random((4000, 10))
    alarms = [(metrics.holm(row) <= 0.05).any() for row in p]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.012)


def test_class_differences_are_the_tests_within_each_class():
    labels, a, b = pair(2, rows=2000, right_b=0.9)
    names = ["cat", "dog", "frog", "never"]
    found = metrics.class_differences(labels, a, b, names)
    p_values = []
    for c, name in enumerate(names[:3]):
        rows = labels == c
        test = metrics.mcnemar(labels[rows], a[rows], b[rows])
        recalls = np.mean(a[rows] == c), np.mean(b[rows] == c)
        p_values.append(test.p_value)
        assert found[name]["support"] == rows.sum()
        assert (found[name]["recall_a"], found[name]["recall_b"]) == pytest.approx(recalls)
        assert found[name]["difference"] == pytest.approx(recalls[1] - recalls[0])
        assert found[name]["p_value"] == test.p_value
    adjusted = [found[name]["p_holm"] for name in names[:3]]
    assert adjusted == pytest.approx(metrics.holm(p_values).tolist())
    assert {key: value for key, value in found["never"].items() if value is not None} == {
        "support": 0
    }


@pytest.mark.parametrize("sizes", [(2, 2), (3, 10), (20, 5)])
def test_welch_interval_is_scipys(sizes):
    generator = np.random.default_rng(sum(sizes))
    a, b = generator.normal(0.94, 0.002, sizes[0]), generator.normal(0.943, 0.01, sizes[1])
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    difference, low, high = metrics.welch_interval(a, b)
    assert difference == pytest.approx(b.mean() - a.mean())
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_welch_interval_without_spread():
    assert metrics.welch_interval([0.5, 0.5], [0.75, 0.75]) == (0.25, 0.25, 0.25)


def test_welch_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(3)
    covered = []
    for _ in range(1500):
        a, b = generator.normal(0.94, 0.001, 3), generator.normal(0.95, 0.004, 8)
        _, low, high = metrics.welch_interval(a, b)
        covered.append(low <= 0.01 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
