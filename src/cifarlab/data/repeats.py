"""Images that are there more than once, pixel by pixel."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def repeated(images: Iterable[NDArray[np.uint8]]) -> list[list[int]]:
    """Groups of two or more images with the very same pixels, as places in `images`.

    Places ascend within a group, and groups by their first. Pixels are compared by SHA-256.

    Args:
        images: uint8, all of one shape.

    Example:
        >>> repeated(np.array([[1, 2], [3, 3], [1, 2], [0, 0], [3, 3]], np.uint8))
        [[0, 2], [1, 4]]
    """
    places: dict[bytes, list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        places[hashlib.sha256(np.ascontiguousarray(image).data).digest()].append(i)
    return [group for group in places.values() if len(group) > 1]
