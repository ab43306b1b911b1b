"""Answering only when sure: what is gained in precision for what is left unanswered."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.metrics.calibration import fit_temperature
from cifarlab.metrics.checks import checked
from cifarlab.metrics.probability import softmax

PRECISIONS = (0.95, 0.99)  # for which a run keeps a threshold
DOUBT = 0.05  # probability with which a threshold may promise too much
LEVELS = 100  # shares of the rows that are tried as answered: 1 %, 2 %, … 100 %
SPARE = 2  # mistakes that the smallest tried share must be able to bear


def risk_coverage(
    logits: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The risk-coverage curve (El-Yaniv and Wiener 2010): `coverage` and `risk`, float64 (N,).

    ``risk[k - 1]`` is the share of mistakes among the k surest rows, ``coverage[k - 1]`` is k / N.
    Within rows of equal confidence it is the mean over every order of them.

    Example:
        >>> coverage, risk = risk_coverage([[9.0, 0.0], [1.0, 0.0]], [0, 1])
        >>> coverage.tolist(), risk.tolist()
        ([0.5, 1.0], [0.0, 0.5])
    """
    confidence, wrong = _surest_first(logits, labels)
    k = np.arange(1, len(wrong) + 1)
    last = np.append(np.flatnonzero(np.diff(confidence)), len(wrong) - 1)  # of each run of equals
    mistakes = np.interp(k, np.append(0, k[last]), np.append(0, np.cumsum(wrong)[last]))
    return k / len(wrong), mistakes / k


def area_under_risk_coverage(logits: ArrayLike, labels: ArrayLike) -> float:
    """AURC: the mean of the risk over all coverages, in [0, 1]; less is better.

    Small where the model is right, and where its mistakes are those that it is least sure of
    (Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural
    classifiers"). A confidence that says nothing gives the error rate.

    Example:
        >>> area_under_risk_coverage([[9.0, 0.0], [1.0, 0.0]], [0, 1])
        0.25
    """
    return float(risk_coverage(logits, labels)[1].mean())


def precision_threshold(logits: ArrayLike, labels: ArrayLike, precision: float) -> float | None:
    """The lowest confidence from which answers are right at least so often.

    Trustworthy on new images of the same kind, not only on these rows: with probability 95 % the
    threshold keeps what it promises. The surest 1 %, 2 %, … 100 % of the rows are tried, in this
    order until the first that fails; one passes if the lower bound of Clopper and Pearson (1934),
    one-sided 95 %, of its share right is `precision` or more. Trying in a fixed order up to the
    first failure needs no correction for the many trials (fixed-sequence testing: Angelopoulos et
    al. 2021, "Learn then test", section 2.2). It begins where two mistakes could be borne, so that
    one accident among the surest does not end it: at 124 rows for 95 %, 628 for 99 %.

    Args:
        logits: float (N, C), divided by the temperature with which they will be used.
        labels: int (N,); rows that did not train the model.
        precision: the promised share, in (0, 1).

    Returns:
        the confidence in (0, 1] at or above which to answer; None where no threshold is known to
        keep the promise, because the model is not that good or the rows are too few.

    Example:
        >>> logits = [[3.0, 0.0]] * 300 + [[0.1, 0.0]] * 100  # sure and right, unsure and wrong
        >>> round(precision_threshold(logits, [0] * 300 + [1] * 100, 0.95), 4)
        0.9526
    """
    from scipy.special import bdtr  # the binomial's distribution; scipy comes with scikit-learn

    if not 0 < precision < 1:
        raise CifarlabError(f"precision must lie in (0, 1). Received: {precision}")
    confidence, wrong = _surest_first(logits, labels)
    n = len(wrong)
    levels = np.ceil(np.arange(1, LEVELS + 1) * n / LEVELS).astype(int)
    thresholds = confidence[levels - 1]
    answered = np.searchsorted(-confidence, -thresholds, side="right")  # equals are all answered
    mistakes = np.cumsum(wrong)[answered - 1]
    # The bound is at least `precision` exactly where so few mistakes would be this unlikely.
    tried = bdtr(SPARE, answered, 1 - precision) <= DOUBT
    passed = bdtr(mistakes, answered, 1 - precision) <= DOUBT
    kept = int(np.logical_and.accumulate(passed[tried]).sum())
    return float(thresholds[tried][kept - 1]) if kept else None


def answered_from(
    logits: ArrayLike, labels: ArrayLike, threshold: float
) -> dict[str, float | None]:
    """What answering at or above a confidence gives: ``coverage`` and ``precision``, in [0, 1].

    ``precision`` is None where nothing is answered.

    Example:
        >>> answered_from([[9.0, 0.0], [0.1, 0.0]], [0, 1], 0.9)
        {'coverage': 0.5, 'precision': 1.0}
    """
    confidence, wrong = _surest_first(logits, labels)
    answered = confidence >= threshold
    precision = float(1 - wrong[answered].mean()) if answered.any() else None
    return {"coverage": float(answered.mean()), "precision": precision}


def calibrate(logits: ArrayLike, labels: ArrayLike) -> dict[str, float | dict[str, float | None]]:
    """What a run keeps for its consumers, ready for JSON: a temperature and thresholds.

    Args:
        logits: float (N, C) on validation, averaged over views as they will be used.
        labels: int (N,).

    Returns:
        ``temperature`` (`fit_temperature`) and ``thresholds``: precision as text to
        `precision_threshold` of the logits at that temperature, or None.

    Example:
        >>> found = calibrate([[4.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> round(found["temperature"], 3), found["thresholds"]
        (3.641, {'0.95': None, '0.99': None})
    """
    temperature = fit_temperature(logits, labels)
    scaled = np.asarray(logits, np.float64) / temperature
    thresholds = {str(share): precision_threshold(scaled, labels, share) for share in PRECISIONS}
    return {"temperature": temperature, "thresholds": thresholds}


def _surest_first(
    logits: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence of each row, and whether its answer is wrong, by falling confidence."""
    logits, labels = checked(logits, labels)
    confidence = softmax(logits).max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    return confidence[order], (logits.argmax(axis=1) != labels)[order]
