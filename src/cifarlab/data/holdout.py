"""Which images are held out of training: stratified, and the same on every machine and version.

An image is held out when its 64-bit key is among the smallest of its class. Keys come from a seed
(`random_keys`) or from the images' file names (`name_keys`), never from the order of a listing and
never from a method of ``numpy.random.Generator``, whose streams may change between versions.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import UsageError

_STREAM = 0x5EED_0F_5B117  # keeps these keys apart from everything else drawn from the same seed


def random_keys(n: int, seed: int) -> NDArray[np.uint64]:
    """``n`` uint64 keys: Philox 4x64's raw output (Salmon et al. 2011), which is fixed for good.

    Raises:
        UsageError: ``seed`` is no whole number from 0 to 2**64 - 1.

    Example:
        >>> random_keys(2, seed=0)
        array([..., ...], dtype=uint64)
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise UsageError(f"seed must be a whole number from 0 to 2**64 - 1, not {seed!r}")
    key = np.array([seed, _STREAM], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(n)


def name_keys(names: Iterable[str]) -> NDArray[np.uint64]:
    """uint64 keys from file names alone: a file that comes or goes does not move the others.

    Names are compared in Unicode's composed form, because macOS lists them decomposed.

    Example:
        >>> int(name_keys(["cat/1.png"])[0]) == int(name_keys(["dog/1.png", "cat/1.png"])[1])
        True
    """
    composed = (  # a file's name need not be valid UTF-8
        unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape") for name in names
    )
    keys = [int.from_bytes(hashlib.sha256(name).digest()[:8], "big") for name in composed]
    return np.array(keys, dtype=np.uint64)


def stratified_holdout(
    labels: ArrayLike, fraction: float, keys: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices so that each class gives the same share of its images.

    The shares are rounded by largest remainder, so that the number held out is ``fraction`` of all,
    to the nearest image. A class of two images or more has at least one on either side; the only
    image of a class is kept.

    Args:
        labels: int (N,).
        fraction: share to hold out, 0 to below 1; 0 holds out nothing.
        keys: uint64 (N,); the smallest of each class are held out.

    Returns:
        ``(kept, held)``: int64 indices, each in ascending order.

    Raises:
        UsageError: ``fraction`` is not in [0, 1).

    Example:
        >>> kept, held = stratified_holdout([0, 0, 0, 0, 1, 1, 1, 1], 0.25, random_keys(8, seed=0))
        >>> len(kept), len(held)
        (6, 2)
    """
    if not 0 <= fraction < 1:  # also refuses NaN
        raise UsageError(f"a held-out share must be at least 0 and below 1, not {fraction}")
    labels = np.asarray(labels, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    held = np.zeros(len(labels), dtype=bool)
    if fraction > 0:
        classes, counts = np.unique(labels, return_counts=True)
        for label, count in zip(classes, _shares(counts, fraction), strict=True):
            held[order[labels[order] == label][:count]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _shares(counts: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """How many each class of ``counts`` images gives."""
    quotas = counts * fraction
    shares = np.floor(quotas).astype(np.int64)
    missing = int(np.floor(quotas.sum() + 0.5)) - int(shares.sum())
    shares[np.argsort(shares - quotas, kind="stable")[: max(missing, 0)]] += 1
    return np.clip(shares, np.minimum(counts - 1, 1), counts - 1)
