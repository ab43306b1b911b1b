"""Calibration and answering only when sure."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from sklearn import metrics as reference

from cifarlab import metrics


def sure_case(seed, rows=500, classes=5, honest=1.0, scale=2):
    """Logits whose probabilities are right as often as they say, then multiplied by `honest`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)) * scale
    draws = generator.random((rows, 1))
    labels = (draws > metrics.softmax(logits).cumsum(axis=1)).sum(axis=1)
    return logits * honest, np.minimum(labels, classes - 1)


# --- calibration error, reliability, Brier score ---


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


def test_reliability_by_hand_is_what_the_error_is_made_of():
    logits, labels = [[math.log(4), 0.0], [math.log(3), 0.0], [0.0, 0.0]], [0, 1, 0]
    diagram = metrics.reliability(logits, labels, bins=4)
    assert diagram.count.tolist() == [0, 1, 1, 1]  # 0.5, 0.75 and 0.8
    np.testing.assert_allclose(diagram.confidence, [np.nan, 0.5, 0.75, 0.8])
    np.testing.assert_allclose(diagram.accuracy, [np.nan, 1, 0, 1])
    assert (diagram.low[1], diagram.high[1]) == (0.25, 0.5)
    assert diagram.error == pytest.approx((0.5 + 0.75 + 0.2) / 3)
    assert diagram.to_json()[0] == {
        "low": 0.0,
        "high": 0.25,
        "count": 0,
        "confidence": None,
        "accuracy": None,
    }


def test_equal_mass_is_scikit_learns_quantile_calibration_curve():
    """Two classes, whose confidence is shifted to [0, 1] for scikit-learn's curve."""
    from sklearn.calibration import calibration_curve

    logits, labels = sure_case(0, classes=2)
    diagram = metrics.reliability(logits, labels, bins=10, binning="equal-mass")
    confidence = metrics.softmax(logits).max(axis=1)
    right = logits.argmax(axis=1) == labels
    share, mean = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    assert diagram.count.tolist() == [50] * 10
    np.testing.assert_allclose(diagram.confidence, mean)
    np.testing.assert_allclose(diagram.accuracy, share)
    expected = np.mean(np.abs(share - mean))
    found = metrics.expected_calibration_error(logits, labels, 10, "equal-mass")
    assert found == pytest.approx(expected)


def test_equal_mass_does_not_depend_on_the_order_of_equal_rows():
    logits = np.array([[2.0, 0.0]] * 30 + [[1.0, 0.0]] * 10)
    labels = np.array([0] * 15 + [1] * 15 + [0] * 10)
    forward, backward = (
        metrics.expected_calibration_error(logits[step], labels[step], 5, "equal-mass")
        for step in (slice(None), slice(None, None, -1))
    )
    assert forward == pytest.approx(backward)
    sure, unsure = metrics.softmax(logits)[[0, -1], 0]
    assert forward == pytest.approx((30 * abs(sure - 0.5) + 10 * (1 - unsure)) / 40)


def test_brier_score_is_scikit_learns():
    logits, labels = sure_case(1)
    p, truth = metrics.softmax(logits), np.eye(5)[labels]
    expected = sum(reference.brier_score_loss(truth[:, c], p[:, c]) for c in range(5))
    assert metrics.brier_score(logits, labels) == pytest.approx(expected)
    assert metrics.brier_score([[900.0, 0.0]], [1]) == 2


# --- temperature ---


@pytest.mark.parametrize("honest", [0.2, 0.7, 1.0, 3.0, 9.0])
def test_temperature_is_where_scipy_finds_the_least_loss(honest):
    logits, labels = sure_case(2, honest=honest)
    best = minimize_scalar(
        lambda t: metrics.log_loss(logits / math.exp(t), labels),
        bounds=(-4, 4),
        method="bounded",
        options={"xatol": 1e-8},
    )
    found = metrics.fit_temperature(logits, labels)
    assert found == pytest.approx(math.exp(best.x), rel=1e-5)
    assert found == pytest.approx(honest, rel=0.15)  # what made them, but for chance


def test_temperature_is_exact_where_it_can_be_solved():
    # Probability 1 / (1 + exp(-4 / T)) = 3 / 4: T = 4 / log 3.
    found = metrics.fit_temperature([[4.0, 0.0]] * 4, [0, 0, 0, 1])
    assert found == pytest.approx(4 / math.log(3), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_temperature_lowers_the_loss_of_any_logits(scale):
    for seed in range(20):
        logits, labels = sure_case(seed, rows=12, classes=3)
        logits = logits * scale
        found = metrics.fit_temperature(logits, labels)
        assert 0.05 <= found <= 20
        before, after = (metrics.log_loss(logits / t, labels) for t in (1, found))
        assert after <= before + 1e-12


def test_temperature_where_the_data_does_not_say():
    right = np.eye(3) * 5
    assert metrics.fit_temperature(right, [0, 1, 2]) == 1  # no mistake: any certainty would do
    assert metrics.fit_temperature(right, [1, 2, 0]) == 20  # always wrong: as unsure as may be
    assert metrics.fit_temperature([[1.0, 1.0]], [0]) == 20  # knows nothing, at any temperature
    assert metrics.fit_temperature(right[:1], [0]) == 1


def test_temperature_repairs_overconfidence():
    validation, test = sure_case(3, 5000, honest=2.5), sure_case(4, 5000, honest=2.5)
    temperature = metrics.fit_temperature(*validation)
    before = metrics.expected_calibration_error(*test)
    after = metrics.expected_calibration_error(test[0] / temperature, test[1])
    assert before > 0.1
    assert after < 0.02


# --- risk and coverage ---


def brute_force(logits, labels):
    """Risk at each coverage, averaged over every order that falls in confidence."""
    confidence = metrics.softmax(logits).max(axis=1)
    wrong = logits.argmax(axis=1) != labels
    orders = [
        order
        for order in itertools.permutations(range(len(labels)))
        if (np.diff(confidence[list(order)]) <= 0).all()
    ]
    risks = [np.cumsum(wrong[list(order)]) / np.arange(1, len(labels) + 1) for order in orders]
    return np.mean(risks, axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_risk_is_the_mean_over_every_order_of_equals(seed):
    generator = np.random.default_rng(seed)
    logits = generator.integers(0, 3, (6, 2)).astype(float)
    labels = generator.integers(0, 2, 6)
    coverage, risk = metrics.risk_coverage(logits, labels)
    np.testing.assert_allclose(coverage, np.arange(1, 7) / 6)
    np.testing.assert_allclose(risk, brute_force(logits, labels))
    assert metrics.area_under_risk_coverage(logits, labels) == pytest.approx(risk.mean())


def test_risk_ends_at_the_error_rate_and_a_flat_confidence_is_worth_nothing():
    logits, labels = sure_case(5)
    error = 1 - metrics.accuracy(logits, labels)
    assert metrics.risk_coverage(logits, labels)[1][-1] == pytest.approx(error)
    assert metrics.area_under_risk_coverage(logits, labels) < 0.7 * error
    flat = np.eye(5)[logits.argmax(axis=1)]
    assert metrics.area_under_risk_coverage(flat, labels) == pytest.approx(error)


# --- thresholds ---


def lower_bound(right, n):
    """Clopper and Pearson's, one-sided 95 %, by SciPy."""
    return binomtest(right, n, alternative="greater").proportion_ci(0.95, "exact").low


@pytest.mark.parametrize("precision", [0.8, 0.9, 0.95])
def test_threshold_is_the_last_tried_share_whose_bound_holds(precision):
    logits, labels = sure_case(6, 2000, scale=6)
    confidence = metrics.softmax(logits).max(axis=1)
    right = logits.argmax(axis=1) == labels
    expected = None
    for level in range(1, 101):
        threshold = np.sort(confidence)[::-1][math.ceil(2000 * level / 100) - 1]
        answered = confidence >= threshold
        if lower_bound(int(answered.sum()) - 2, int(answered.sum())) < precision:
            continue  # too few to begin with
        if lower_bound(int(right[answered].sum()), int(answered.sum())) < precision:
            break
        expected = threshold
    assert expected is not None
    assert metrics.precision_threshold(logits, labels, precision) == expected
    found = metrics.answered_from(logits, labels, expected)
    assert found["precision"] == pytest.approx(right[confidence >= expected].mean())
    assert found["precision"] > precision
    assert found["coverage"] == pytest.approx(np.mean(confidence >= expected))


@pytest.mark.parametrize(("n", "precision"), [(124, 0.95), (628, 0.99)])
def test_threshold_of_few_images_is_not_promised(n, precision):
    def case(rows):
        return [[3.0, 0.0]] * rows, [0] * rows

    assert metrics.precision_threshold(*case(n), precision) == pytest.approx(0.952574, abs=1e-6)
    assert metrics.precision_threshold(*case(n - 1), precision) is None


def test_threshold_of_a_bad_model_is_none_and_equals_are_answered_together():
    logits, labels = [[3.0, 0.0]] * 1000, [0] * 900 + [1] * 100
    assert metrics.precision_threshold(logits, labels, 0.95) is None
    assert metrics.precision_threshold(logits, labels, 0.85) is not None
    assert metrics.answered_from(logits, labels, 0.99) == {"coverage": 0, "precision": None}


def test_threshold_keeps_its_promise_as_often_as_it_says():
    """300 models, each calibrated on its own validation: too low a threshold 5 times in 100."""
    precision, broken = 0.9, 0
    true = np.sort(metrics.softmax(sure_case(99, 200_000, 2)[0]).max(axis=1))[::-1]
    means = np.cumsum(true) / np.arange(1, len(true) + 1)  # precision above each confidence
    for seed in range(300):
        threshold = metrics.precision_threshold(*sure_case(seed, 600, 2), precision)
        if threshold is not None:
            broken += means[np.searchsorted(-true, -threshold)] < precision
    assert 1 <= broken <= 300 * 0.07


def test_what_a_run_keeps():
    logits, labels = sure_case(7, 3000, honest=2)
    found = metrics.calibrate(logits, labels)
    temperature = metrics.fit_temperature(logits, labels)
    threshold = metrics.precision_threshold(logits / temperature, labels, 0.95)
    assert found["temperature"] == temperature
    assert found["thresholds"]["0.95"] == threshold is not None
    assert set(found["thresholds"]) == {"0.95", "0.99"}
