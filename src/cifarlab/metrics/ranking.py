"""How well each class's probability ranks its own rows above the others (one against the rest)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.metrics.checks import checked
from cifarlab.metrics.probability import softmax


def roc_auc(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Area under each class's ROC curve, float64 (C,), in [0, 1]; 0.5 is chance.

    The probability that a row of the class is given a higher probability of it than a row of
    another class is, equals counted half (Hanley and McNeil 1982, "The meaning and use of the area
    under a ROC curve"). NaN where the class has no row, or no other class has.

    Example:
        >>> roc_auc([[2.0, 0.0], [1.0, 0.0], [3.0, 0.0]], [0, 1, 0]).tolist()
        [1.0, 1.0]
    """
    logits, labels = checked(logits, labels)
    return np.array([area_under_roc(p, labels == c) for c, p in enumerate(softmax(logits).T)])


def area_under_roc(scores: ArrayLike, positive: ArrayLike) -> float:
    """The chance that a positive row scores above another one, equals counted half; in [0, 1].

    Args:
        scores: float (N,).
        positive: bool (N,).

    Returns:
        the area; NaN where all rows are positive, or none is.

    Example:
        >>> area_under_roc([3.0, 2.0, 1.0, 2.0], [True, True, False, False])
        0.875
    """
    hits, misses = _steps(np.asarray(scores, np.float64), np.asarray(positive, bool))
    if not hits[-1] or not misses[-1]:
        return float("nan")
    heights = hits + np.concatenate([[0], hits[:-1]])  # twice the mean height of a trapezium
    widths = np.diff(misses, prepend=0)
    return float((heights * widths).sum() / (2 * hits[-1] * misses[-1]))


def average_precision(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Average precision of each class, float64 (C,), in [0, 1]; its share of rows is chance.

    The mean of the precisions at the class's own rows, when rows are taken by falling probability
    of the class, equals together; no interpolation, which would flatter (Davis and Goadrich 2006,
    "The relationship between precision-recall and ROC curves"). NaN where the class has no row.

    Example:
        >>> average_precision([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]], [0, 1, 0]).round(4).tolist()
        [0.8333, 0.5]
    """
    logits, labels = checked(logits, labels)
    return np.array([_average_precision(p, labels == c) for c, p in enumerate(softmax(logits).T)])


def _average_precision(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    hits, misses = _steps(scores, positive)
    if not hits[-1]:
        return float("nan")
    precision = hits / (hits + misses)
    return float((precision * np.diff(hits, prepend=0)).sum() / hits[-1])


def _steps(
    scores: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the class, and other rows, down to each distinct score, the highest first."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]), 1))  # of each run of equal scores
    hits = np.cumsum(positive[order], dtype=np.int64)[last]
    return hits, last + 1 - hits
