"""What the corruptions are made of: warps, filters and clouds, for many images at once.

Images are float32 (N, S, S, C). Beyond its border an image goes on as its mirror image, the
border's own pixels not repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


def pixel_scale(images: Floats) -> float:
    """How many pixels one pixel of a 32-pixel image is here; one at least."""
    return max(images.shape[1] / 32, 1.0)


def mirrored(index: ArrayLike, side: int) -> NDArray[np.int64]:
    """Indices in [0, side) of any whole numbers, as in a mirror at both borders.

    Example:
        >>> mirrored([-2, -1, 0, 3, 4, 5], side=4).tolist()
        [2, 1, 0, 3, 2, 1]
    """
    period = 2 * (side - 1)
    folded = np.asarray(index, np.int64) % period
    return np.minimum(folded, period - folded)


def pick(images: Floats, rows: ArrayLike, columns: ArrayLike) -> Floats:
    """The pixels at whole `rows` and `columns`, int (N or 1, H, W) each: (N, H, W, C)."""
    count, side, _, channels = images.shape
    place = mirrored(rows, side) * side + mirrored(columns, side)
    first = np.arange(count).reshape(-1, 1, 1) * (side * side)
    return np.take(images.reshape(-1, channels), first + place, axis=0)


def sample(images: Floats, rows: NDArray, columns: NDArray) -> Floats:
    """Bilinear values at fractional `rows` and `columns`, (N or 1, H, W) each: (N, H, W, C)."""
    top, left = np.floor(rows), np.floor(columns)
    down, right = ((rows - top)[..., None], (columns - left)[..., None])
    down, right = down.astype(np.float32), right.astype(np.float32)
    upper = pick(images, top, left) * (1 - right) + pick(images, top, left + 1) * right
    lower = pick(images, top + 1, left) * (1 - right) + pick(images, top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def separable(images: Floats, matrix: NDArray) -> Floats:
    """A linear change (T, S) of every column, then of every row: (N, T, T, C)."""
    count, side, _, channels = images.shape
    matrix = matrix.astype(np.float32)
    tall = np.matmul(matrix, images.reshape(count, side, side * channels))
    turned = tall.reshape(count, -1, side, channels).swapaxes(1, 2)  # columns first
    wide = np.matmul(matrix, turned.reshape(count, side, -1))
    return wide.reshape(count, len(matrix), len(matrix), channels).swapaxes(1, 2)


def linear_matrix(places: NDArray, side: int) -> NDArray[np.float64]:
    """(T, side): linear interpolation of `side` values at the fractional `places`, (T,)."""
    below = np.floor(places)
    share, lines = places - below, np.arange(len(places))
    matrix = np.zeros((len(places), side))
    np.add.at(matrix, (lines, mirrored(below, side)), 1 - share)
    np.add.at(matrix, (lines, mirrored(below + 1, side)), share)
    return matrix


def zoom_matrix(side: int, factor: float) -> NDArray[np.float64]:
    """(side, side): enlarge by `factor` about the centre."""
    centre = (side - 1) / 2
    return linear_matrix(centre + (np.arange(side) - centre) / factor, side)


def blur(images: Floats, sigma: float) -> Floats:
    """Gaussian blur with a deviation of `sigma` pixels."""
    return separable(images, gaussian_matrix(images.shape[1], sigma))


def gaussian_matrix(side: int, sigma: float) -> NDArray[np.float64]:
    """(side, side): a Gaussian of deviation `sigma` about each place, cut at four deviations."""
    reach = int(np.ceil(4 * sigma))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / max(sigma, 1e-9)) ** 2)
    matrix, place = np.zeros((side, side)), np.arange(side)
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        np.add.at(matrix, (place, mirrored(place + offset, side)), weight)
    return matrix


def streak(images: Floats, radius: float, sigma: float, angles: NDArray) -> Floats:
    """Motion blur: half a Gaussian of deviation `sigma` along each image's own direction.

    Args:
        images: (N, S, S, C).
        radius: half of the streak's length in pixels.
        sigma: in pixels.
        angles: (N,) in degrees, counted from the row's direction downwards.
    """
    steps = np.arange(2 * round(radius) + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    steps, weights = steps[weights > 1e-3], weights[weights > 1e-3]
    side = images.shape[1]
    directions = np.radians(angles)[:, None, None]
    rows, columns = np.arange(side)[None, :, None], np.arange(side)[None, None, :]
    total = np.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        down = np.rint(step * np.sin(directions)).astype(int)
        along = np.rint(step * np.cos(directions)).astype(int)
        total += np.float32(weight) * pick(images, rows + down, columns + along)
    return total


def clouds(random: np.random.Generator, count: int, side: int, decay: float) -> Floats:
    """Fractal textures, float32 (count, side, side), each from 0 to 1.

    Grids of 2, 3, 5, 9, … random numbers a side, stretched smoothly over the image and added up;
    each grid counts 1 / decay**2 of the one before. It stands in for the plasma fractal of
    CIFAR-10-C, whose amplitudes fall as fast.
    """
    total = np.zeros((count, side, side), np.float32)
    cells, amplitude = 1, 1.0
    while cells < side:
        grid = random.random((count, cells + 1, cells + 1), dtype=np.float32)
        stretch = linear_matrix(np.linspace(0, cells, side), cells + 1)
        total += np.float32(amplitude) * separable(grid[..., None], stretch)[..., 0]
        cells, amplitude = 2 * cells, amplitude / decay**2
    total -= total.min(axis=(1, 2), keepdims=True)
    return total / total.max(axis=(1, 2), keepdims=True)
