"""What every figure asks of its arguments; whatever cannot be measured is refused in one line."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError


def checked(logits: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits float64 (N, C) and labels int64 (N,) in [0, C).

    Raises:
        CifarlabError: as `checked_logits` and `checked_classes` do, or they are not as many.
    """
    logits = checked_logits(logits)
    labels = checked_classes(labels, logits.shape[1], "labels")
    same_length(logits=logits, labels=labels)
    return logits, labels


def checked_logits(logits: ArrayLike) -> NDArray[np.float64]:
    """Logits as float64 (N, C).

    Raises:
        CifarlabError: another shape, no rows, or one that is not finite; names the first.
    """
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


def checked_classes(values: ArrayLike, num_classes: int | None, what: str) -> NDArray[np.int64]:
    """Classes as int64 (N,), N >= 1.

    Args:
        values: whole numbers.
        num_classes: every value must lie below it; None for any number of classes.
        what: their name in the error.

    Raises:
        CifarlabError: another shape or type, none at all, or one out of range.
    """
    array = np.asarray(values)
    if array.ndim != 1 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise CifarlabError(
            f"{what} must be integers of the shape (N,). Received: {array.dtype} {array.shape}"
        )
    end = "inf" if num_classes is None else num_classes
    if array.min() < 0 or (num_classes is not None and array.max() >= num_classes):
        raise CifarlabError(
            f"{what} must lie in [0, {end}). Received: {array.min()} to {array.max()}"
        )
    return array.astype(np.int64)


def same_length(**arrays: NDArray) -> None:
    """Raise `CifarlabError` where the named arrays do not have as many rows."""
    if len({len(array) for array in arrays.values()}) > 1:
        names = " and ".join(name.replace("_", " ") for name in arrays)
        lengths = ", ".join(str(len(array)) for array in arrays.values())
        raise CifarlabError(f"{names} must have as many rows. Received: {lengths}")


def checked_sample(values: ArrayLike, least: int, what: str) -> NDArray[np.float64]:
    """Figures of independent runs as float64 (n,), `least` or more.

    Raises:
        CifarlabError: fewer, another shape, or one that is not finite.
    """
    sample = np.asarray(values, np.float64)
    if sample.ndim != 1 or len(sample) < least or not np.isfinite(sample).all():
        enough = "one" if least == 1 else str(least)
        raise CifarlabError(f"{what} needs {enough} or more finite numbers. Received: {values!r}")
    return sample


def checked_confidence(confidence: float) -> float:
    """`confidence` itself; `CifarlabError` where it is not in (0, 1)."""
    if not 0 < confidence < 1:
        raise CifarlabError(f"confidence must lie in (0, 1). Received: {confidence}")
    return confidence
