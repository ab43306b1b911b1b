"""Corruptions by name: a corruption's name is the name of its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cifarlab.errors import CifarlabError, UnknownNameError, UsageError

SEVERITIES = (1, 2, 3, 4, 5)
KINDS = ("noise", "blur", "weather", "digital", "geometry")
BLOCK = 128  # images changed at once: they stay in the processor's cache

Images = NDArray[np.float32]
# (images float32 (N, S, S, 3) in [0, 1], strength, random numbers) -> the same shape, any range.
Function = Callable[[Images, Any, np.random.Generator], Images]


@dataclass(frozen=True)
class Corruption:
    """One way in which images go bad.

    Attributes:
        name: such as ``"gaussian_noise"``.
        kind: one of `KINDS`.
        function: the change itself; `corrupt` calls it.
        summary: one line for people.
        strengths: what the function is given at each of the five severities.
    """

    name: str
    kind: str
    function: Function
    summary: str
    strengths: tuple[Any, ...]


CORRUPTIONS: dict[str, Corruption] = {}


def register(kind: str, *strengths: Any) -> Callable[[Function], Function]:
    """Decorator that lists a function under its own name, with its strength at each severity."""

    def listed(function: Function) -> Function:
        name = function.__name__
        if name in CORRUPTIONS:
            raise ValueError(f"the corruption {name!r} is registered twice")
        if len(strengths) != len(SEVERITIES):
            raise ValueError(f"{name!r} has {len(strengths)} strengths, not {len(SEVERITIES)}")
        summary = (function.__doc__ or "").partition("\n")[0]
        CORRUPTIONS[name] = Corruption(name, kind, function, summary, strengths)
        return function

    return listed


def corruption_names(kind: str | None = None) -> list[str]:
    """The names of all corruptions, or of a kind, in the order of `KINDS`.

    Example:
        >>> corruption_names("geometry")
        ['shift', 'scale', 'rotate']
    """
    listed = sorted(CORRUPTIONS.values(), key=lambda each: KINDS.index(each.kind))
    return [each.name for each in listed if kind in (None, each.kind)]


def get_corruption(name: str) -> Corruption:
    """The corruption of that name; `UnknownNameError` names the nearest where there is none."""
    if name not in CORRUPTIONS:
        raise UnknownNameError("corruption", name, CORRUPTIONS)
    return CORRUPTIONS[name]


def corrupt(
    images: NDArray[np.uint8], name: str, severity: int, seed: int = 0
) -> NDArray[np.uint8]:
    """Corrupted copies of images.

    A pure function of its arguments. What is random depends on (name, seed, place in `images`)
    alone: the severities of one image share their random numbers, and images that follow it change
    nothing, so that ``corrupt(images, …)[:k]`` equals ``corrupt(images[:k], …)``.

    Args:
        images: uint8 (N, S, S, 3), RGB, S >= 2. Lengths in pixels are those of 32-pixel images,
            and grow with S beyond that.
        name: one of `CORRUPTIONS`.
        severity: 1 (slight) to 5.
        seed: 0 to 2**64 - 1.

    Returns:
        uint8 (N, S, S, 3).

    Raises:
        UnknownNameError: no such corruption.
        UsageError: a severity or seed that is out of range.
        CifarlabError: `images` are not of that type and shape.

    Example:
        >>> images = np.full((2, 32, 32, 3), 100, np.uint8)
        >>> corrupt(images, "brightness", severity=5)[0, 0, 0].tolist()  # by 0.3 of 255
        [177, 177, 177]
    """
    corruption = get_corruption(name)
    _check(images, severity, seed)
    strength, out = corruption.strengths[severity - 1], np.empty_like(images)
    for number, start in enumerate(range(0, len(images), BLOCK)):
        block = images[start : start + BLOCK]
        # Always a full block, so that the numbers drawn for an image do not depend on the rest.
        full = np.zeros((BLOCK, *images.shape[1:]), np.float32)
        np.divide(block, np.float32(255), out=full[: len(block)])
        bits = np.random.Philox(key=[seed, crc32(name.encode())], counter=[0, 0, 0, number])
        changed = corruption.function(full, strength, np.random.Generator(bits))[: len(block)]
        out[start : start + BLOCK] = np.rint(np.clip(changed * np.float32(255), 0, 255))
    return out


def _check(images: Any, severity: int, seed: int) -> None:
    if severity not in SEVERITIES:
        raise UsageError(f"severity is 1, 2, 3, 4 or 5. Received: {severity!r}")
    if not 0 <= seed < 2**64:
        raise UsageError(f"seed is 0 to 2**64 - 1. Received: {seed}")
    array = np.asarray(images)
    square = array.ndim == 4 and array.shape[1] == array.shape[2] >= 2 and array.shape[3] == 3
    if array.dtype != np.uint8 or not square:
        raise CifarlabError(
            f"images must be uint8 (N, S, S, 3), S >= 2. Received: {array.dtype} {array.shape}"
        )
