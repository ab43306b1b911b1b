import math

import numpy as np
import pytest
from sklearn import metrics as reference

from cifarlab import metrics
from cifarlab.errors import CifarlabError


def random_case(seed, rows=200, classes=7):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)) * 3
    return logits, generator.integers(0, classes, rows)


CASES = {
    "random": random_case(0),
    "two classes": random_case(1, classes=2),
    "single sample": random_case(2, rows=1),
    "ties": (np.repeat([[1.0, 1.0, 0.0]], 6, axis=0), np.array([0, 1, 2, 0, 1, 2])),
    "absent from the labels": (random_case(3)[0], np.zeros(200, int)),
    "never predicted": (np.tile([3.0, 0.0, 1.0], (9, 1)), np.arange(9) % 3),
    "huge logits": (np.array([[1e4, 0.0], [0.0, 300.0]]), np.array([0, 1])),
}


@pytest.fixture(params=CASES, name="case")
def _case(request):
    return CASES[request.param]


def test_accuracy_equals_scikit_learns(case):
    logits, labels = case
    expected = reference.accuracy_score(labels, logits.argmax(axis=1))
    assert metrics.accuracy(logits, labels) == pytest.approx(expected, abs=1e-12)


def test_log_loss_equals_scikit_learns(case):
    logits, labels = case
    classes = range(logits.shape[1])
    expected = reference.log_loss(labels, metrics.softmax(logits), labels=list(classes))
    assert metrics.log_loss(logits, labels) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_confusion_matrix_equals_scikit_learns(case):
    logits, labels = case
    classes = logits.shape[1]
    matrix = metrics.confusion_matrix(labels, logits.argmax(axis=1), classes)
    expected = reference.confusion_matrix(labels, logits.argmax(axis=1), labels=range(classes))
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_per_class_equals_scikit_learns(case):
    logits, labels = case
    names = [f"class {i}" for i in range(logits.shape[1])]
    figures = metrics.per_class(labels, logits.argmax(axis=1), names)
    columns = reference.precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=range(len(names)), zero_division=0
    )
    for key, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert [figures[name][key] for name in names] == pytest.approx(list(column), abs=1e-12)


def test_softmax_equals_scipys_and_does_not_overflow():
    from scipy.special import softmax

    logits = random_case(4)[0] * 200
    np.testing.assert_allclose(metrics.softmax(logits), softmax(logits, axis=1), atol=1e-15)


def test_a_loss_beyond_the_smallest_probability_stays_exact():
    assert metrics.log_loss([[0.0, 2000.0]], [0]) == pytest.approx(2000.0)


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


def test_calibration_error_by_hand():
    def row(probability):  # two logits whose softmax gives the first class this probability
        return [math.log(probability / (1 - probability)), 0.0]

    logits = [row(0.9), row(0.9), row(0.85), row(0.6)]
    labels = [0, 1, 0, 0]
    # Ten bins. (0.8, 0.9]: 0.9, 0.9, 0.85 with two right: |2.65 - 2|; (0.5, 0.6]: |0.6 - 1|.
    assert metrics.expected_calibration_error(logits, labels, bins=10) == pytest.approx(1.05 / 4)
    # Two bins: all in (0.5, 1]: |3.25 - 3|.
    assert metrics.expected_calibration_error(logits, labels, bins=2) == pytest.approx(0.25 / 4)


def test_calibration_bins_include_their_upper_edge():
    # Two bins: probability 1/2 (right) falls in (0, 1/2], 3/4 (wrong) in (1/2, 1].
    logits, labels = [[0.0, 0.0], [math.log(3), 0.0]], [0, 1]
    error = metrics.expected_calibration_error(logits, labels, bins=2)
    assert error == pytest.approx((0.5 + 0.75) / 2)


def test_calibration_error_is_zero_for_the_sure_and_right_and_one_for_the_sure_and_wrong():
    logits = np.array([[900.0, 0.0], [0.0, 900.0]])
    assert metrics.expected_calibration_error(logits, [0, 1]) == 0
    assert metrics.expected_calibration_error(logits, [1, 0]) == 1


def test_mean_interval_by_hand():
    # Mean 3, deviation sqrt(2.5), t(0.975, 4) = 2.7764: half width 2.7764 * sqrt(2.5 / 5).
    mean, low, high = metrics.mean_interval([1, 2, 3, 4, 5])
    assert (mean, low, high) == pytest.approx((3, 3 - 1.96324, 3 + 1.96324), abs=1e-4)


def test_mean_of_one_run_has_no_interval():
    assert metrics.mean_interval([0.94]) == (0.94, None, None)


def test_summary_is_the_single_figures_in_plain_json():
    import json

    logits, labels = random_case(6)
    names = list("abcdefg")
    figures = json.loads(json.dumps(metrics.summarize(logits, labels, names)))
    assert figures["n"] == 200
    assert figures["accuracy"] == metrics.accuracy(logits, labels)
    assert figures["loss"] == metrics.log_loss(logits, labels)
    assert figures["ece"] == metrics.expected_calibration_error(logits, labels)
    assert np.trace(figures["confusion_matrix"]) == round(figures["accuracy"] * 200)
    low, high = figures["accuracy_ci95"]
    assert low < figures["accuracy"] < high


@pytest.mark.parametrize(
    ("logits", "labels", "what"),
    [
        ([[0.0, np.nan]], [0], "finite"),
        ([[0.0, np.inf]], [0], "finite"),
        (np.zeros((0, 2)), np.zeros(0, int), "shape"),
        ([0.0, 1.0], [0], "shape"),
        ([[0.0, 1.0]], [2], r"\[0, 2\)"),
        ([[0.0, 1.0]], [-1], r"\[0, 2\)"),
        ([[0.0, 1.0]], [0.5], "integers"),
        ([[0.0, 1.0]], [0, 1], "as many rows"),
    ],
)
@pytest.mark.parametrize(
    "figure", [metrics.accuracy, metrics.log_loss, metrics.expected_calibration_error]
)
def test_what_cannot_be_measured_is_refused(figure, logits, labels, what):
    with pytest.raises(CifarlabError, match=what):
        figure(logits, labels)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.wilson_interval(3, 2),
        lambda: metrics.wilson_interval(0, 0),
        lambda: metrics.wilson_interval(1, 2, confidence=95),
        lambda: metrics.mean_interval([]),
        lambda: metrics.mean_interval([0.9, math.nan]),
        lambda: metrics.confusion_matrix([0], [0, 1], 2),
        lambda: metrics.confusion_matrix([0], [3], 2),
        lambda: metrics.summarize([[0.0, 1.0]], [0], ["only one"]),
        lambda: metrics.expected_calibration_error([[0.0, 1.0]], [0], bins=0),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(CifarlabError):
        call()
