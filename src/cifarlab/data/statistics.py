"""What is measured on the training images before a training."""

from __future__ import annotations

import numpy as np


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 (N, H, W, 3), on the scale of 0 to 255.

    Computed from counts of the 256 values, which is exact.

    Example:
        >>> channel_statistics(np.full((1, 2, 2, 3), 7, "uint8"))
        ((7.0, 7.0, 7.0), (0.0, 0.0, 0.0))
    """
    values = np.arange(256.0)
    means, deviations = [], []
    for channel in range(images.shape[-1]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., 0].size
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(np.sqrt(share @ (values - mean) ** 2)))
    return tuple(means), tuple(deviations)
