"""Every figure that the lab reports, from logits and labels, in NumPy alone.

Where scikit-learn has the same figure, it is equal to it (``zero_division=0``): ``accuracy_score``,
``log_loss``, ``confusion_matrix`` and ``precision_recall_fscore_support``; the tests compare them.

Shapes: ``logits`` is float (N, C), ``labels`` and ``predictions`` are int (N,) in [0, C), N >= 1. A
prediction is the class of the highest logit, the first one among equals, as in ``numpy.argmax``.
Whatever cannot be measured (NaN, no rows, labels out of range) raises ``CifarlabError``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError

ECE_BINS = 15  # the number that the literature reports (Guo et al. 2017)


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities, float64 (N, C), each row adding up to 1.

    Example:
        >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    return np.exp(_log_softmax(_checked_logits(logits)))


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Share of rows whose highest logit is the label's, in [0, 1].

    Example:
        >>> accuracy([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 4.0]], [0, 1, 1, 0])
        0.75
    """
    logits, labels = _checked(logits, labels)
    return float(np.mean(logits.argmax(axis=1) == labels))


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval (low, high) of a share of ``successes`` among ``n``, both in [0, 1].

    Wilson's score interval (1927): unlike the textbook normal one, it stays inside [0, 1], and near
    0 and 1, where good classifiers are, it still covers as often as it promises.

    Example:
        >>> [round(bound, 4) for bound in wilson_interval(9400, 10_000)]
        [0.9352, 0.9445]
    """
    if not 0 <= successes <= n or n < 1:
        raise CifarlabError(
            f"an interval needs 0 <= successes <= n and n >= 1. Received: {successes} of {n}"
        )
    z = NormalDist().inv_cdf(0.5 + _checked_confidence(confidence) / 2)
    share, weight = successes / n, z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    # The bounds are exact at the ends; rounding would leave them a few 1e-17 beside it.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def log_loss(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood of the labels in nats: the cross-entropy, >= 0.

    Example:
        >>> round(log_loss([[0.0, 0.0]], [1]), 4)  # log 2: it cannot tell
        0.6931
    """
    return float(log_losses(logits, labels).mean())


def log_losses(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Each row's negative log-likelihood of its label in nats, float64 (N,); see `log_loss`."""
    logits, labels = _checked(logits, labels)
    return -_log_softmax(logits)[np.arange(len(labels)), labels]


def expected_calibration_error(logits: ArrayLike, labels: ArrayLike, bins: int = ECE_BINS) -> float:
    """How far the highest probability is from the share that is right, in [0, 1].

    Rows are sorted into ``bins`` equal widths (m - 1, m] / bins of their highest probability; the
    figure is the mean over bins, weighted by their rows, of |mean probability - share right| (Guo
    et al. 2017, "On Calibration of Modern Neural Networks", section 2).

    Example:
        >>> round(expected_calibration_error([[0.0, 0.0], [0.0, 0.0]], [0, 0]), 4)
        0.5
    """
    if bins < 1:
        raise CifarlabError(f"calibration needs at least one bin. Received: bins={bins}")
    logits, labels = _checked(logits, labels)
    confidence = softmax(logits).max(axis=1)
    right = logits.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.digitize(confidence, edges[1:-1], right=True)
    gaps = np.bincount(bin_of, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, num_classes: int
) -> NDArray[np.int64]:
    """Counts, int64 (C, C): row = true class, column = predicted class.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    labels = _checked_classes(labels, num_classes, "labels")
    predictions = _checked_classes(predictions, num_classes, "predictions")
    if labels.shape != predictions.shape:
        raise CifarlabError(
            f"labels and predictions must be as many. Received: {len(labels)}, {len(predictions)}"
        )
    pairs = labels * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class(
    labels: ArrayLike, predictions: ArrayLike, class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (each in [0, 1]) and support (rows of that class) by class name.

    A share of nothing is 0: the precision of a class never predicted, the recall of one absent.

    Example:
        >>> per_class([0, 0, 1], [0, 1, 1], ["cat", "dog"])["cat"]
        {'precision': 1.0, 'recall': 0.5, 'f1': 0.666..., 'support': 2}
    """
    matrix = confusion_matrix(labels, predictions, len(class_names))
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        name: {
            "precision": _share(hits[i], predicted[i]),
            "recall": _share(hits[i], support[i]),
            "f1": _share(2 * hits[i], support[i] + predicted[i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(class_names)
    }


def summarize(logits: ArrayLike, labels: ArrayLike, class_names: Sequence[str]) -> dict[str, Any]:
    """Everything that ``result.json`` says of one split, ready for JSON.

    Returns ``n``, ``accuracy``, ``accuracy_ci95``, ``loss``, ``ece``, ``per_class`` and
    ``confusion_matrix``: computed here alone, so that no two places can disagree.

    Example:
        >>> figures = summarize([[2.0, 1.0], [0.0, 3.0]], [0, 0], ["cat", "dog"])
        >>> figures["n"], figures["accuracy"], figures["confusion_matrix"]
        (2, 0.5, [[1, 1], [0, 0]])
    """
    logits, labels = _checked(logits, labels)
    if logits.shape[1] != len(class_names):
        raise CifarlabError(
            f"logits have {logits.shape[1]} columns but there are {len(class_names)} class names"
        )
    predictions = logits.argmax(axis=1)
    right = int((predictions == labels).sum())
    return {
        "n": len(labels),
        "accuracy": right / len(labels),
        "accuracy_ci95": list(wilson_interval(right, len(labels))),
        "loss": log_loss(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "per_class": per_class(labels, predictions, class_names),
        "confusion_matrix": confusion_matrix(labels, predictions, len(class_names)).tolist(),
    }


def mean_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """Mean of independent runs and its interval (mean, low, high) by Student's t.

    One value has no spread to learn from: ``low`` and ``high`` are then None.

    Example:
        >>> [round(bound, 3) for bound in mean_interval([0.93, 0.94, 0.95])]
        [0.94, 0.915, 0.965]
    """
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise CifarlabError(f"a mean needs one or more finite numbers. Received: {list(values)}")
    mean = float(sample.mean())
    if len(sample) == 1:
        return mean, None, None
    from scipy.special import stdtrit  # Student's t quantile; scipy comes with scikit-learn

    factor = stdtrit(len(sample) - 1, 0.5 + _checked_confidence(confidence) / 2)
    half = float(factor * sample.std(ddof=1) / math.sqrt(len(sample)))
    return mean, mean - half, mean + half


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)  # no overflow: the largest becomes 0
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _checked(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    checked_logits = _checked_logits(logits)
    checked_labels = _checked_classes(labels, checked_logits.shape[1], "labels")
    if len(checked_logits) != len(checked_labels):
        raise CifarlabError(
            "logits and labels must have as many rows. "
            f"Received: {len(checked_logits)}, {len(checked_labels)}"
        )
    return checked_logits, checked_labels


def _checked_logits(logits: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(logits, np.float64)
    if array.ndim != 2 or 0 in array.shape:
        raise CifarlabError(f"logits must have the shape (N, C). Received: {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise CifarlabError(
            f"logits must be finite, but {len(bad)} of {len(array)} rows are not "
            f"(the first is row {bad[0]}); the model that made them has diverged"
        )
    return array


def _checked_classes(values: ArrayLike, num_classes: int, what: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise CifarlabError(
            f"{what} must be integers of the shape (N,). Received: {array.dtype} {array.shape}"
        )
    if array.min() < 0 or array.max() >= num_classes:
        raise CifarlabError(
            f"{what} must lie in [0, {num_classes}). Received: {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def _checked_confidence(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise CifarlabError(f"confidence must lie in (0, 1). Received: {confidence}")
    return confidence
