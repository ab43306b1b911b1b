"""How much two images look like one photograph: correlation of their details, moved into place.

Copies of a photograph differ in what an editor or a thumbnail maker does: brightness, contrast,
tint, sharpness, a mirror, a cut that moves and enlarges the motif. So images are compared in grey,
band-passed (what is even is taken off, and so is the finest grain), faded out at the edges, and
normalised; the score of a pair is the highest correlation over mirrors, shifts and scales.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

GRID = 32  # every image is compared on a grid of this side
FADE = 5.0  # grid points over which the edges fade out
REACH = 6  # largest shift tried, in grid points
WHOLE = (1.0, 1.0)
# Shares of an image's height and width that are read: first the whole, then less.
ZOOMS = (WHOLE, (0.94, 0.94), (0.88, 0.88), (0.82, 0.82), (0.76, 0.76))
STRETCHES = ((1.0, 0.93), (0.93, 1.0), (1.0, 0.86), (0.86, 1.0), (0.94, 0.85), (0.85, 0.94))
MORE_ZOOMS = (WHOLE, *STRETCHES, (0.97, 0.97), (0.91, 0.91), (0.7, 0.7))
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
CHUNK = 1000  # pairs at a time
COARSE = (0.7, 4.0)  # the two blurs of the first, quick comparison, in grid points
FINE = (0.6, 1.5)  # and of the one that decides

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Spectra = NDArray[np.complex64]
Zoom = tuple[float, float]


def sampling(side: int, points: int, sigma: float, zoom: float = 1.0) -> Floats:
    """Weights that blur a line of `side` pixels and read it at `points` even places.

    Args:
        side: pixels of the line.
        points: places to read, spread over the middle `zoom` of the line.
        sigma: of the Gaussian, in steps between the places (in pixels where those are farther
            apart), so that coarse reading does not alias.

    Returns:
        float32 (points, side); each row adds up to 1, also at the ends.

    Example:
        >>> sampling(4, 2, sigma=0.01).round(2).tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    step = zoom * side / points
    centre = (np.arange(points) - (points - 1) / 2) * step + (side - 1) / 2
    distance = (np.arange(side) - centre[:, None]) / (sigma * max(step, 1.0))
    squares = distance**2
    # The nearest pixel counts in full, so that no row underflows to nothing.
    weights = np.exp(-(squares - squares.min(axis=1, keepdims=True)) / 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def grey(images: Images) -> Floats:
    """Luma of uint8 RGB (N, S, S, 3), float32 (N, S, S)."""
    return images.astype(np.float32) @ LUMA


def thumbnails(images: Images, points: int = 16) -> Floats:
    """Blurred grey images without their mean and contrast, float32 (N, points * points).

    The dot product of two is the correlation of the blurred images; an even image is all zeros.
    """
    read = sampling(images.shape[1], points, sigma=0.5)
    small = (read @ grey(images) @ read.T).reshape(len(images), -1)
    return normalized(small - small.mean(axis=1, keepdims=True))


def details(images: Images, fine: float, coarse: float, zoom: Zoom = WHOLE) -> Floats:
    """Band-passed grey images that fade at the edges, of unit norm: float32 (N, 32, 32).

    Args:
        images: uint8 (N, S, S, 3).
        fine, coarse: deviations of the two blurs whose difference it is, in grid points.
        zoom: shares of height and width that are read, around the middle.
    """
    pixels, window = grey(images), fading()
    band = (_read(pixels, fine, zoom) - _read(pixels, coarse, zoom)) * window
    band -= band.sum(axis=(1, 2), keepdims=True) / window.sum() * window
    return normalized(band.reshape(len(images), -1)).reshape(band.shape)


def _read(pixels: Floats, sigma: float, zoom: Zoom) -> Floats:
    """Grey images (N, S, S) blurred and read on the grid: float32 (N, 32, 32)."""
    down, across = (sampling(pixels.shape[1], GRID, sigma, share) for share in zoom)
    return np.matmul(np.matmul(down, pixels), across.T)


def normalized(rows: Floats) -> Floats:
    """Rows (N, D) of unit length; rows of nothing stay nothing."""
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3)


@cache
def fading() -> Floats:
    """A window (32, 32): 1 inside, down to nearly 0 at the edges."""
    edge = np.minimum(np.arange(GRID), GRID - 1 - np.arange(GRID)) + 0.5
    line = np.sin(np.pi / 2 * np.minimum(edge / FADE, 1)).astype(np.float32)
    return line[:, None] * line


def best_shift(first: Spectra, second: Spectra) -> Floats:
    """Highest correlation over shifts of up to `REACH` of two images' `spectra`: float32 (N,)."""
    across, down = _inverse()
    product = first * np.conj(second)
    lines = (product.reshape(-1, product.shape[2]) @ across).reshape(len(first), GRID, -1)
    surface = down @ np.concatenate([lines.real, lines.imag], axis=1)  # (N, shifts, shifts)
    return surface.max(axis=(1, 2))


@cache
def _inverse() -> tuple[Spectra, Floats]:
    """The inverse Fourier transform at the shifts that are tried alone, a sixth of them all:
    matrices (17, shifts) across, and (shifts, 64) down the real and imaginary parts of that."""
    shifts = np.arange(-REACH, REACH + 1)
    frequency = np.arange(GRID // 2 + 1)
    twice = np.where(frequency % (GRID // 2) == 0, 1, 2)  # its other half is the conjugate
    across = twice[:, None] * np.exp(2j * np.pi / GRID * np.outer(frequency, shifts)) / GRID
    turns = 2 * np.pi / GRID * np.outer(shifts, np.arange(GRID))
    down = np.concatenate([np.cos(turns), -np.sin(turns)], axis=1) / GRID
    return across.astype(np.complex64), down.astype(np.float32)


def spectra(detail: Floats) -> Spectra:
    """Fourier transforms of `details` (N, 32, 32), complex64 (N, 32, 17)."""
    return np.fft.rfft2(detail).astype(np.complex64, copy=False)


def mirror(some: Spectra) -> Spectra:
    """The `spectra` (N, 32, 17) of the mirror images, without another transform.

    Column c of a mirror image is column 31 - c: each frequency across is its own negative, and
    turned by one step.
    """
    negative = np.conj(np.roll(some[:, ::-1], 1, axis=1))
    step = np.exp(2j * np.pi / GRID * np.arange(GRID // 2 + 1))
    return negative * step.astype(np.complex64)


def alignment(
    first: Images, second: Images, zooms: tuple[Zoom, ...] = ZOOMS
) -> tuple[Floats, NDArray[np.bool_]]:
    """Correlation of the fine details of pairs of images at their best mirror, shift and scale.

    Args:
        first, second: uint8 (N, S, S, 3).
        zooms: parts of the one that may be the whole of the other; the first is the whole.

    Returns:
        ``(correlation, mirrored)``, each (N,); correlation is 1 for equal images.

    Example:
        >>> image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
        >>> correlation, mirrored = alignment(image, image[:, :, ::-1])
        >>> correlation.round(3).tolist(), mirrored.tolist()
        ([1.0], [True])
    """
    straight, flipped = np.zeros((2, len(first)), np.float32)
    for start in range(0, len(first), CHUNK):
        here = slice(start, start + CHUNK)
        images = [spectra(details(first[here], *FINE, zoom)) for zoom in zooms]
        others = [spectra(details(second[here], *FINE, zoom)) for zoom in zooms]
        mirrors = [mirror(image) for image in images]
        for result, (whole, *parts) in ((straight, images), (flipped, mirrors)):
            ways = [best_shift(whole, other) for other in others]
            ways += [best_shift(part, others[0]) for part in parts]
            result[here] = np.max(ways, axis=0)
    return np.maximum(straight, flipped), flipped > straight


def richness(images: Images) -> Floats:
    """Over how many grid points an image's fine details are spread, float32 (N,), 0 to 1024.

    The inverse participation ratio of their energy. Small dark shapes before an even sky agree
    easily; they have little of it.
    """
    energy = details(images, *FINE).reshape(len(images), -1) ** 2
    fourth = np.einsum("nd,nd->n", energy, energy)
    return np.divide(1, fourth, out=np.zeros_like(fourth), where=fourth > 0)
