"""Blur: out of focus, in motion, behind glass."""

from __future__ import annotations

import numpy as np

from cifarlab.corrupt.registry import Images, register
from cifarlab.corrupt.sampling import blur, pick, pixel_scale, separable, streak, zoom_matrix


@register("blur", 0.4, 0.6, 0.7, 0.8, 1.0)
def gaussian_blur(images: Images, sigma: float, random: np.random.Generator) -> Images:
    """A Gaussian of that deviation in pixels."""
    return blur(images, sigma * pixel_scale(images))


@register("blur", (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))
def defocus_blur(
    images: Images, strength: tuple[float, float], random: np.random.Generator
) -> Images:
    """Out of focus: a disk of that radius in pixels, its rim softened by a Gaussian."""
    radius, softness = (length * pixel_scale(images) for length in strength)
    kernel = disk(radius, softness)
    reach, side = len(kernel) // 2, images.shape[1]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    total = np.zeros_like(images)
    for row, column in np.argwhere(kernel > 1e-4):
        part = padded[:, row : row + side, column : column + side]
        total += np.float32(kernel[row, column]) * part
    return total


def disk(radius: float, softness: float) -> np.ndarray:
    """Weights (K, K) that add up to 1: whole pixels within `radius`, blurred by `softness`."""
    reach = int(radius) + max(1, round(3 * softness))
    offsets = np.arange(-reach, reach + 1)
    inside = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(float)
    bell = np.exp(-0.5 * (offsets / softness) ** 2)
    bell[np.abs(offsets) > max(1, round(softness))] = 0  # three pixels a side, as published
    spread = np.array([np.convolve(line, bell, "same") for line in inside])
    spread = np.array([np.convolve(line, bell, "same") for line in spread.T]).T
    return spread / spread.sum()


@register("blur", (0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))
def glass_blur(images: Images, strength: tuple[float, int], random: np.random.Generator) -> Images:
    """Frosted glass: pixels changed for a random neighbour, blurred before and after.

    Strengths are the published deviation and number of rounds. Own: a pixel takes the colour of
    one of four, itself, above, left or both, where the original swaps it with one of these, pixel
    after pixel.
    """
    sigma, rounds = strength[0] * pixel_scale(images), strength[1]
    count, side = images.shape[:2]
    reach = max(1, round(pixel_scale(images)))
    place = np.arange(side)
    images = blur(images, sigma)
    for _ in range(rounds):
        down, right = random.integers(-reach, 1, (2, count, side, side))
        images = pick(images, place[:, None] + down, place + right)
    return blur(images, sigma)


@register("blur", (6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))
def motion_blur(
    images: Images, strength: tuple[float, float], random: np.random.Generator
) -> Images:
    """A shaken camera: a streak of that radius and deviation in pixels, up to 45° from level."""
    radius, sigma = (length * pixel_scale(images) for length in strength)
    return streak(images, radius, sigma, random.uniform(-45, 45, len(images)))


@register("blur", 1.05, 1.10, 1.15, 1.20, 1.25)
def zoom_blur(images: Images, most: float, random: np.random.Generator) -> Images:
    """A lens that zooms in: the mean of the image enlarged 1 to that many times, in steps of 0.01.

    As published, the image as it is counts twice.
    """
    side = images.shape[1]
    factors = np.arange(1 + 0.01, most + 0.005, 0.01)
    total = 2 * images
    for factor in factors:
        total += separable(images, zoom_matrix(side, factor))
    return total / np.float32(len(factors) + 2)
