"""Images far from the rest of their class, and classes far from the size of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.audit.alignment import Floats, normalized
from cifarlab.audit.duplicates import BLOCK

NEIGHBOURS = 10
FAR = 6.0  # deviations above the class's median distance
ROUNDING = 1e-5  # a distance of copies may be as far from 0
UNEVEN = 2.0  # largest class over smallest one at which a split is called imbalanced


def outlier_scores(features: NDArray[np.floating], labels: NDArray[np.int64]) -> Floats:
    """How far each image is from its class, in deviations above the class's median.

    The distance is one less the mean cosine to the `NEIGHBOURS` nearest images of the class
    (Angiulli and Pizzuti 2002, "Fast Outlier Detection in High Dimensional Spaces"), the deviation
    1.4826 times the median absolute one, so that outliers do not hide each other; 1.2533 times the
    mean absolute one of a class that is copies for the most part, whose median deviation is nothing
    (Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers").

    Args:
        features: (N, D).
        labels: int (N,).

    Returns:
        float32 (N,); 0 in a class of fewer than three images.

    Example:
        >>> x = np.random.default_rng(0).normal([9, 0], 1, (50, 2)).astype("float32")
        >>> x[7] = [0, 9]
        >>> int(outlier_scores(x, np.zeros(50, int)).argmax())
        7
    """
    unit = normalized(np.asarray(features, np.float32))
    scores = np.zeros(len(unit), np.float32)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) < 3:
            continue
        distance = 1 - _mean_nearest(unit[rows])
        middle = np.median(distance)
        deviation = np.abs(distance - middle)
        spread = 1.4826 * np.median(deviation)
        if spread < ROUNDING:
            spread = 1.2533 * deviation.mean()
        scores[rows] = (distance - middle) / max(spread, 1e-6)
    return scores


def _mean_nearest(unit: Floats) -> Floats:
    """Mean cosine of each row (N, D) to its nearest others, float32 (N,)."""
    count = min(NEIGHBOURS, len(unit) - 1)
    means = []
    for start in range(0, len(unit), BLOCK):
        cosines = unit[start : start + BLOCK] @ unit.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        means.append(np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1))
    return np.concatenate(means)


def imbalance(labels: NDArray[np.int64], class_names: tuple[str, ...]) -> dict[str, Any]:
    """How even the classes of a split are.

    Returns:
        ``counts`` (class name to images), ``ratio`` of the largest to the smallest class (None
        where a class is empty), ``imbalanced``, and ``small``: the classes with less than
        1 / `UNEVEN` of the largest one's images.

    Example:
        >>> imbalance(np.array([0, 0, 0, 0, 1]), ("cat", "dog"))["small"]
        ['dog']
    """
    counts = np.bincount(labels, minlength=len(class_names))
    largest, smallest = int(counts.max()), int(counts.min())
    small = [n for n, c in zip(class_names, counts, strict=True) if c * UNEVEN < largest]
    return {
        "counts": dict(zip(class_names, counts.tolist(), strict=True)),
        "ratio": largest / smallest if smallest else None,
        "imbalanced": bool(small),
        "small": small,
    }
