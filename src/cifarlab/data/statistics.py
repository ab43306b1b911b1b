"""What is measured on the training images before a training."""

from __future__ import annotations

import math

import numpy as np

# Their squares' sum, at most 255**2 each, fits into 32 bits.
IMAGES_AT_ONCE = 1000


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 (N, H, W, 3), on the scale of 0 to 255.

    Computed from sums of whole numbers, which are exact.

    Example:
        >>> channel_statistics(np.full((1, 2, 2, 3), 7, "uint8"))
        ((7.0, 7.0, 7.0), (0.0, 0.0, 0.0))
    """
    channels = images.shape[-1]
    lines = images.reshape(len(images), -1)  # (N, H * W * channels): columns add up fast
    sums, squares = np.zeros((2, lines.shape[1]), "uint64")
    for start in range(0, len(lines), IMAGES_AT_ONCE):
        part = lines[start : start + IMAGES_AT_ONCE].astype("uint32")
        sums += part.sum(axis=0, dtype="uint32")
        squares += (part * part).sum(axis=0, dtype="uint32")
    pixels = images[..., 0].size
    means, deviations = [], []
    for channel in range(channels):
        total, square = int(sums[channel::channels].sum()), int(squares[channel::channels].sum())
        means.append(total / pixels)
        deviations.append(math.sqrt(square * pixels - total**2) / pixels)
    return tuple(means), tuple(deviations)
