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


def test_balanced_accuracy_equals_scikit_learns(case):
    logits, labels = case
    expected = reference.recall_score(
        labels, logits.argmax(axis=1), labels=np.unique(labels), average="macro", zero_division=0
    )
    assert metrics.balanced_accuracy(logits, labels) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_confusion_shares_equal_scikit_learns(case, normalize):
    logits, labels = case
    classes, predictions = logits.shape[1], logits.argmax(axis=1)
    shares = metrics.confusion_matrix(labels, predictions, classes, normalize)
    expected = reference.confusion_matrix(
        labels, predictions, labels=range(classes), normalize=normalize
    )
    np.testing.assert_allclose(shares, expected, atol=1e-15)
    counts = metrics.confusion_matrix(labels, predictions, classes)
    np.testing.assert_array_equal(metrics.confusion_shares(counts, normalize), shares)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_top_k_accuracy_equals_scikit_learns(k, seed):
    logits, labels = random_case(seed)
    expected = reference.top_k_accuracy_score(labels, logits, k=k, labels=range(7))
    assert metrics.top_k_accuracy(logits, labels, k) == pytest.approx(expected, abs=1e-12)


def test_top_1_accuracy_is_accuracy_and_top_c_is_1(case):
    logits, labels = case  # ties among them, for which scikit-learn takes the last class
    assert metrics.top_k_accuracy(logits, labels, 1) == metrics.accuracy(logits, labels)
    assert metrics.top_k_accuracy(logits, labels, logits.shape[1]) == 1


def test_most_confused_by_hand():
    matrix = [[5, 3, 0], [1, 9, 0], [3, 0, 0]]
    found = metrics.most_confused(matrix, most=2)
    assert found == [(0, 1, 3, 3 / 8), (2, 0, 3, 1.0)]  # equals in the order of their classes
    assert [m.times for m in metrics.most_confused(matrix)] == [3, 3, 1]
    assert metrics.most_confused(np.eye(3)) == []


@pytest.mark.filterwarnings("ignore")  # scikit-learn warns of absent classes
def test_areas_equal_scikit_learns(case):
    """Equal probabilities among them, and classes without rows."""
    logits, labels = case
    probabilities = metrics.softmax(logits)
    areas, precisions = metrics.roc_auc(logits, labels), metrics.average_precision(logits, labels)
    for c in range(logits.shape[1]):
        own = labels == c
        if own.any():
            expected = reference.average_precision_score(own, probabilities[:, c])
            assert precisions[c] == pytest.approx(expected, abs=1e-12)
        if own.any() and not own.all():
            expected = reference.roc_auc_score(own, probabilities[:, c])
            assert areas[c] == pytest.approx(expected, abs=1e-12)
        assert np.isnan(precisions[c]) == (not own.any())
        assert np.isnan(areas[c]) == (own.all() or not own.any())


def test_areas_count_equal_scores_half():
    rounded = np.round(random_case(8, classes=2)[0])  # about ten different probabilities
    labels = random_case(9, classes=2)[1]
    p = metrics.softmax(rounded)[:, 0]
    assert len(np.unique(p)) < 40
    expected = reference.roc_auc_score(labels == 0, p)
    assert metrics.roc_auc(rounded, labels)[0] == pytest.approx(expected, abs=1e-12)
    expected = reference.average_precision_score(labels == 0, p)
    assert metrics.average_precision(rounded, labels)[0] == pytest.approx(expected, abs=1e-12)
    assert metrics.roc_auc([[0.0, 0.0]] * 3, [0, 1, 1]).tolist() == [0.5, 0.5]


def test_softmax_equals_scipys_and_does_not_overflow():
    from scipy.special import softmax

    logits = random_case(4)[0] * 200
    np.testing.assert_allclose(metrics.softmax(logits), softmax(logits, axis=1), atol=1e-15)


def test_a_loss_beyond_the_smallest_probability_stays_exact():
    assert metrics.log_loss([[0.0, 2000.0]], [0]) == pytest.approx(2000.0)


def test_spread_by_hand():
    assert metrics.spread([4.0, 1.0, 2.0, 5.0]) == {
        "n": 4,
        "minimum": 1,
        "median": 3,
        "maximum": 5,
        "deviation": pytest.approx(math.sqrt(10 / 3)),
    }
    assert metrics.spread([0.9])["deviation"] is None


def test_agreement_is_the_share_of_pairs_that_agree():
    from itertools import combinations

    predictions = np.random.default_rng(0).integers(0, 3, (5, 40))
    pairs = list(combinations(predictions, 2))
    expected = np.mean([a == b for a, b in pairs], axis=0)
    np.testing.assert_allclose(metrics.agreement(predictions), expected)


def test_summary_is_the_single_figures_in_plain_json():
    import json

    logits, labels = random_case(6)
    names = list("abcdefg")
    figures = json.loads(json.dumps(metrics.summarize(logits, labels, names)))
    assert figures["n"] == 200
    assert figures["accuracy"] == metrics.accuracy(logits, labels)
    assert figures["loss"] == metrics.log_loss(logits, labels)
    assert figures["ece"] == metrics.expected_calibration_error(logits, labels)
    assert figures["balanced_accuracy"] == metrics.balanced_accuracy(logits, labels)
    assert figures["top_k_accuracy"]["3"] == metrics.top_k_accuracy(logits, labels, 3)
    assert figures["brier_score"] == metrics.brier_score(logits, labels)
    assert list(figures["roc_auc"].values()) == metrics.roc_auc(logits, labels).tolist()
    assert figures["average_precision"]["g"] == metrics.average_precision(logits, labels)[6]
    assert figures["aurc"] == metrics.area_under_risk_coverage(logits, labels)
    assert sum(row["count"] for row in figures["reliability"]) == 200
    first = figures["most_confused"][0]
    i, j = names.index(first["true"]), names.index(first["predicted"])
    assert first["times"] == figures["confusion_matrix"][i][j] > 0
    low, high = figures["balanced_accuracy_ci95"]
    assert low < figures["balanced_accuracy"] < high
    assert np.trace(figures["confusion_matrix"]) == round(figures["accuracy"] * 200)
    low, high = figures["accuracy_ci95"]
    assert low < figures["accuracy"] < high


def test_summary_at_a_temperature_is_of_the_divided_logits():
    logits, labels = random_case(6)
    names = list("abcdefg")
    plain, divided = (metrics.summarize(x, labels, names) for x in (logits, logits / 2.5))
    warm = metrics.summarize(logits, labels, names, temperature=2.5)
    own = {"temperature": 2.5} | {f"{key}_uncalibrated": plain[key] for key in ("loss", "ece")}
    assert plain["loss"] == plain["loss_uncalibrated"] != divided["loss"]
    assert warm == {**divided, **own}


def test_a_summary_has_none_for_what_cannot_be_measured():
    figures = metrics.summarize([[2.0, 1.0, 0.0]], [0], ["cat", "dog", "frog"])
    assert figures["roc_auc"] == {"cat": None, "dog": None, "frog": None}
    assert figures["average_precision"] == {"cat": 1.0, "dog": None, "frog": None}
    assert figures["top_k_accuracy"] == {"2": 1.0, "3": None, "5": None}
    empty = {"count": 0, "confidence": None, "accuracy": None}
    assert {**figures["reliability"][0], **empty} == figures["reliability"][0]


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
    "figure",
    [
        *(metrics.accuracy, metrics.balanced_accuracy, metrics.log_loss, metrics.brier_score),
        *(metrics.expected_calibration_error, metrics.reliability, metrics.fit_temperature),
        *(metrics.roc_auc, metrics.average_precision, metrics.risk_coverage, metrics.calibrate),
        *(metrics.area_under_risk_coverage, lambda x, y: metrics.top_k_accuracy(x, y, 1)),
        *(lambda x, y: metrics.precision_threshold(x, y, 0.9), metrics.log_losses),
        lambda x, y: metrics.answered_from(x, y, 0.9),
    ],
)
def test_what_cannot_be_measured_is_refused(figure, logits, labels, what):
    with pytest.raises(CifarlabError, match=what) as error:
        figure(logits, labels)
    assert "\n" not in str(error.value)


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
        lambda: metrics.reliability([[0.0, 1.0]], [0], binning="equal"),
        lambda: metrics.top_k_accuracy([[0.0, 1.0]], [0], 0),
        lambda: metrics.top_k_accuracy([[0.0, 1.0]], [0], 3),
        lambda: metrics.confusion_matrix([0], [0], 2, "rows"),
        lambda: metrics.most_confused([[1, 2]]),
        lambda: metrics.confusion_shares([[1, 2]]),
        lambda: metrics.balanced_accuracy_interval([0], [0]),
        lambda: metrics.balanced_accuracy_interval([3], [2]),
        lambda: metrics.precision_threshold([[0.0, 1.0]], [0], 95),
        lambda: metrics.summarize([[0.0, 1.0]], [0], ["a", "b"], temperature=0),
        lambda: metrics.spread([]),
        lambda: metrics.agreement([[0, 1]]),
        lambda: metrics.agreement([[0.5], [1.0]]),
        lambda: metrics.welch_interval([0.9], [0.8, 0.9]),
        lambda: metrics.welch_interval([0.9, math.nan], [0.8, 0.9]),
        lambda: metrics.mcnemar([0, 1], [0], [0, 1]),
        lambda: metrics.mcnemar([], [], []),
        lambda: metrics.mcnemar([0.0], [0], [0]),
        lambda: metrics.paired_bootstrap([0], [0], [0], resamples=0),
        lambda: metrics.paired_bootstrap([0], [0], [0], confidence=95),
        lambda: metrics.class_differences([2], [0], [0], ["a", "b"]),
        lambda: metrics.holm([0.5, 1.5]),
        lambda: metrics.holm([math.nan]),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(CifarlabError):
        call()
