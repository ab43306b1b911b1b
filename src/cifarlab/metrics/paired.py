"""Is B better than A? Two models that answered the same images, image by image.

Both see the same hard images, so their accuracies rise and fall together: what counts is the images
on which they differ, and comparing the two intervals of accuracy would throw that away.

Shapes: ``labels``, ``predictions_a`` and ``predictions_b`` are int (N,), of the same N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.metrics.checks import checked_classes, checked_confidence, same_length

RESAMPLES = 10_000


class McNemar(NamedTuple):
    """McNemar's test: rows that only A, and only B, has right, and the two-sided p-value."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar(labels: ArrayLike, predictions_a: ArrayLike, predictions_b: ArrayLike) -> McNemar:
    """McNemar's exact test of two models on the same images.

    Were they equally good, each image that only one of them has right would be as likely A's as
    B's: a fair coin. The p-value is the probability of a split at least as uneven, both ways, from
    the binomial itself (McNemar 1947, in the exact form), not from a chi-squared approximation; 1.0
    where they differ on no image.

    Example:
        >>> mcnemar([0] * 6, [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0])
        McNemar(only_a=0, only_b=6, p_value=0.03125)
    """
    a, b = _right(labels, predictions_a, predictions_b)
    return _mcnemar(a, b)


def paired_bootstrap(
    labels: ArrayLike,
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """How much more accurate B is than A: (difference, low, high), each in [-1, 1].

    The percentile bootstrap (Efron 1979): images are drawn again with replacement, both models'
    answers together, and the interval is what the middle 95 % of the resamples say. A resample's
    difference depends only on how many of its N draws fell on images that only A, only B, or both
    or neither have right; N independent draws from three kinds are one multinomial draw of three
    counts. So those are drawn: the same distribution, at 3 numbers a resample instead of N.

    Example:
        >>> labels, a = np.zeros(100, int), np.zeros(100, int)
        >>> a[:10] = 1  # ten mistakes, of which B makes none
        >>> difference, low, high = paired_bootstrap(labels, a, labels)
        >>> difference, 0.03 < low < 0.06 and 0.14 < high < 0.18
        (0.1, True)
    """
    if resamples < 1:
        raise CifarlabError(f"a bootstrap needs a resample or more. Received: {resamples}")
    tail = (1 - checked_confidence(confidence)) / 2
    a, b = _right(labels, predictions_a, predictions_b)
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    shares = np.array([only_a, only_b, n - only_a - only_b]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=resamples)
    low, high = np.quantile((draws[:, 1] - draws[:, 0]) / n, [tail, 1 - tail])
    return (only_b - only_a) / n, float(low), float(high)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values adjusted for being several, float64 (M,), by Holm (1979).

    Those at or below 0.05 may all be called significant: the probability that any of them is a
    false alarm is 5 % at most, whatever holds between the tests. Never less powerful than
    Bonferroni's.

    Raises:
        CifarlabError: not one or more numbers in [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise CifarlabError(
            f"p-values must be one or more numbers in [0, 1]. Received: {p_values!r}"
        )
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def class_differences(
    labels: ArrayLike,
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    class_names: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """By class name, whether B finds its images more often than A, ready for JSON.

    Returns:
        ``support`` (rows), ``recall_a``, ``recall_b``, ``difference`` (b - a), ``p_value`` of
        McNemar's test within the class, and ``p_holm``, the same adjusted over the classes that
        have rows. All but ``support`` are None of a class without rows.

    Example:
        >>> found = class_differences([0, 0, 1], [0, 1, 1], [0, 0, 1], ["cat", "dog"])
        >>> found["cat"]["difference"], found["cat"]["p_holm"]
        (0.5, 1.0)
    """
    truth = checked_classes(labels, len(class_names), "labels")
    a, b = _right(truth, predictions_a, predictions_b)
    of_class = [truth == c for c in range(len(class_names))]
    tested = [_mcnemar(a[rows], b[rows]).p_value for rows in of_class if rows.any()]
    adjusted = iter(zip(tested, holm(tested).tolist(), strict=True))
    found: dict[str, dict[str, Any]] = {}
    for name, rows in zip(class_names, of_class, strict=True):
        keys = ("recall_a", "recall_b", "difference", "p_value", "p_holm")
        values: tuple[float | None, ...] = (None,) * len(keys)
        if rows.any():
            recall_a, recall_b = float(a[rows].mean()), float(b[rows].mean())
            values = (recall_a, recall_b, recall_b - recall_a, *next(adjusted))
        found[name] = {"support": int(rows.sum()), **dict(zip(keys, values, strict=True))}
    return found


def _mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> McNemar:
    from scipy.special import bdtr  # the binomial's distribution; scipy comes with scikit-learn

    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    one_sided = bdtr(min(only_a, only_b), only_a + only_b, 0.5) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, min(1.0, 2 * float(one_sided)))


def _right(
    labels: ArrayLike, predictions_a: ArrayLike, predictions_b: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows A, and which B, has right."""
    truth = checked_classes(labels, None, "labels")
    a = checked_classes(predictions_a, None, "predictions_a")
    b = checked_classes(predictions_b, None, "predictions_b")
    same_length(labels=truth, predictions_a=a, predictions_b=b)
    return a == truth, b == truth
