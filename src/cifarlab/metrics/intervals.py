"""Intervals: what the draw of images, or of seeds, leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.metrics.checks import checked_confidence, checked_sample


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
    return _wilson(successes / n, n, confidence)


def balanced_accuracy_interval(
    hits: ArrayLike, support: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval (low, high) of the mean recall over classes, both in [0, 1].

    Wilson's interval at the effective number of rows: as many as would make a plain share as
    uncertain as the mean of these recalls is (Kish 1965, "Survey Sampling", on design effects). In
    that number alone each class counts half a row found and half a row missed more, so that a few
    rows without a mistake do not pass for certainty. Classes of equal support and recall, or one
    class, give Wilson's interval of all rows.

    Args:
        hits: rows found of each class, (C,).
        support: rows of each class, (C,); classes without rows are left out.
        confidence: how often it is to hold the truth.

    Example:
        >>> low, high = balanced_accuracy_interval([90, 8], [100, 10])
        >>> round(low, 3), round(high, 3)
        (0.683, 0.937)
    """
    found, rows = np.asarray(hits), np.asarray(support)
    if found.shape != rows.shape or rows.ndim != 1 or not (rows > 0).any():
        raise CifarlabError(
            "an interval of mean recall needs hits and support of the shape (C,), not all zero. "
            f"Received: {found.tolist()} of {rows.tolist()}"
        )
    found, rows = found[rows > 0], rows[rows > 0]
    if (found < 0).any() or (found > rows).any():
        raise CifarlabError(
            f"hits must lie in [0, support]. Received: {found.tolist()} of {rows.tolist()}"
        )
    smoothed = (found + 0.5) / (rows + 1)
    variance = float((smoothed * (1 - smoothed) / rows).sum()) / len(rows) ** 2
    mean = float(smoothed.mean())
    return _wilson(float((found / rows).mean()), mean * (1 - mean) / variance, confidence)


def auroc_interval(
    positive: ArrayLike, negative: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval (low, high) of an area under the ROC curve, over the draw of either kind of rows.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988, "Comparing the areas under two
    or more correlated receiver operating characteristic curves"): of a row's place among the other
    kind, summed over both kinds. The interval is Wilson's at the effective number of rows, as many
    as would make a plain share as uncertain as that; the normal one leaves [0, 1], and where the
    kinds hardly overlap it is far too narrow. In that number alone either kind has half a row in
    the first place more and half a row in the last, so that a few rows in perfect order do not pass
    for certainty. docs/unknowns.md says how often it held the truth in simulations.

    Args:
        positive: scores of the rows that should be high, (M,), finite.
        negative: scores of the others, (N,), finite.
        confidence: how often it is to hold the truth.

    Example:
        >>> low, high = auroc_interval([3.0, 4.0, 5.0, 6.0], [1.0, 2.0, 3.5, 0.0])
        >>> round(low, 2), round(high, 2)
        (0.37, 1.0)
    """
    above, below = (np.asarray(scores, np.float64) for scores in (positive, negative))
    if not (above.ndim == below.ndim == 1 and above.size and below.size) or not (
        np.isfinite(above).all() and np.isfinite(below).all()
    ):
        raise CifarlabError(
            "an interval of an AUROC needs finite scores of either kind, (M,) and (N,), one at "
            f"least. Received: the shapes {above.shape} and {below.shape}"
        )
    ranks = _shares_below(above, below), 1 - _shares_below(below, above)
    area, fewer = float(ranks[0].mean()), min(above.size, below.size)
    smoothed = (area * fewer + 0.5) / (fewer + 1)
    effective = smoothed * (1 - smoothed) / sum(map(_smoothed_variance, ranks))
    return _wilson(area, effective, confidence)


def mean_interval(
    values: Sequence[float],
    confidence: float = 0.95,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> tuple[float, float | None, float | None]:
    """Mean of independent runs and its interval (mean, low, high) by Student's t.

    One value has no spread to learn from: ``low`` and ``high`` are then None.

    Args:
        values: one or more.
        confidence: how often it is to hold the truth.
        within: the least and the greatest that a mean of such values can be, where the interval
            ends: of shares 0 and 1.

    Example:
        >>> [round(bound, 3) for bound in mean_interval([0.93, 0.94, 0.95])]
        [0.94, 0.915, 0.965]
        >>> [round(bound, 3) for bound in mean_interval([0.97, 0.98, 1.0], within=(0, 1))]
        [0.983, 0.945, 1.0]
    """
    sample = checked_sample(values, 1, "a mean")
    mean = float(sample.mean())
    if len(sample) == 1:
        return mean, None, None
    half = _quantile(len(sample) - 1, confidence) * sample.std(ddof=1) / math.sqrt(len(sample))
    return mean, float(max(mean - half, within[0])), float(min(mean + half, within[1]))


def welch_interval(
    a: Sequence[float], b: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """How much higher the mean of runs `b` is than that of runs `a`: (difference, low, high).

    Welch's t (1947, "The generalization of Student's problem when several different population
    variances are involved"): the two recipes need be neither equally steady nor run equally often.
    An interval that holds 0 means that these runs cannot tell the recipes apart.

    Args:
        a, b: figures of independent runs, two or more each.
        confidence: how often it is to hold the truth.

    Example:
        >>> difference, low, high = welch_interval([0.93, 0.94, 0.95], [0.95, 0.96, 0.97])
        >>> round(difference, 3), low < 0 < high
        (0.02, True)
    """
    first, second = (checked_sample(values, 2, "a difference of means") for values in (a, b))
    difference = float(second.mean() - first.mean())
    errors = [sample.var(ddof=1) / len(sample) for sample in (first, second)]
    total = sum(errors)
    if total == 0:  # runs without any spread: the degrees of freedom would be 0 / 0
        checked_confidence(confidence)
        return difference, difference, difference
    freedom = total**2 / sum(
        error**2 / (len(sample) - 1) for error, sample in zip(errors, (first, second), strict=True)
    )
    half = _quantile(freedom, confidence) * math.sqrt(total)
    return difference, difference - half, difference + half


def _wilson(share: float, n: float, confidence: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + checked_confidence(confidence) / 2)
    weight = z * z / n
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    # The bounds are exact at the ends; rounding would leave them a few 1e-17 beside it.
    return 0.0 if share == 0 else centre - half, 1.0 if share == 1 else centre + half


def _shares_below(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each score, the share of `others` that lie below it, equals counted half."""
    ranked = np.sort(others)
    lower = np.searchsorted(ranked, scores, "left")
    lower_or_equal = np.searchsorted(ranked, scores, "right")
    return (lower + lower_or_equal) / (2 * len(others))


def _smoothed_variance(shares: NDArray[np.float64]) -> float:
    """Of their mean, as if there were half a row with the share 0 and half a row with 1 more."""
    mean, square = ((power.sum() + 0.5) / (len(shares) + 1) for power in (shares, shares**2))
    return float(square - mean**2) / len(shares)


def _quantile(freedom: float, confidence: float) -> float:
    """Student's t that |t| exceeds with probability 1 - `confidence`."""
    from scipy.special import stdtrit  # scipy comes with scikit-learn

    return float(stdtrit(freedom, 0.5 + checked_confidence(confidence) / 2))
