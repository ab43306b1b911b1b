"""Weather-like: fog, frost, snow, glare. Textures are made, not photographed."""

from __future__ import annotations

import numpy as np

from cifarlab.corrupt.registry import Images, register
from cifarlab.corrupt.sampling import clouds, pixel_scale, separable, streak, zoom_matrix

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601
ICE = np.array([0.86, 0.95, 1.0], np.float32)  # own: the colour of frost


@register("weather", (0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))
def fog(images: Images, strength: tuple[float, float], random: np.random.Generator) -> Images:
    """Bright clouds of that thickness and smoothness added, the brightest value kept."""
    thickness, smoothness = strength
    cloud = clouds(random, len(images), images.shape[1], smoothness)[..., None]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    return (images + np.float32(thickness) * cloud) * (brightest / (brightest + thickness))


@register("weather", (1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
def frost(images: Images, strength: tuple[float, float], random: np.random.Generator) -> Images:
    """Ice on the window: the image dimmed to one share, a texture of veins added at the other.

    Strengths are published. Own: the texture, the ridges of two clouds, where CIFAR-10-C cuts
    pieces out of photographs of frost.
    """
    kept, added = strength
    veins = np.zeros(images.shape[:3], np.float32)
    for decay in (1.1, 1.3):
        ridge = 1 - np.abs(2 * clouds(random, len(images), images.shape[1], decay) - 1)
        veins = np.maximum(veins, ridge**3)
    ice = 0.25 + 0.75 * veins  # a window is never quite clear between the veins
    return np.float32(kept) * images + np.float32(added) * ice[..., None] * ICE


@register(
    "weather",
    (0.10, 0.2, 1.00, 0.60, 8, 3, 0.95),
    (0.10, 0.2, 1.00, 0.50, 10, 4, 0.90),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.90),
    (0.25, 0.3, 2.25, 0.60, 12, 6, 0.85),
    (0.30, 0.3, 1.25, 0.65, 14, 12, 0.80),
)
def snow(images: Images, strength: tuple[float, ...], random: np.random.Generator) -> Images:
    """Flakes that fall in streaks, over an image that is paler the more they are.

    The strength is mean and deviation of the flakes' normal noise, how large they are, above what
    value noise is a flake, radius and deviation of their streaks, and how much of the image's own
    colours is left.
    """
    mean, deviation, size, threshold, radius, sigma, colour = strength
    scale = pixel_scale(images)
    flakes = mean + deviation * random.standard_normal(images.shape[:3], np.float32)
    flakes = separable(flakes[..., None], zoom_matrix(images.shape[1], size * scale))
    flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
    flakes = streak(flakes, radius * scale, sigma * scale, random.uniform(45, 135, len(images)))
    pale = np.maximum(images, (images @ GREY)[..., None] * 1.5 + 0.5)
    whitened = np.float32(colour) * images + np.float32(1 - colour) * pale
    return whitened + flakes + flakes[:, ::-1, ::-1]


@register("weather", 0.05, 0.10, 0.15, 0.20, 0.30)
def brightness(images: Images, more: float, random: np.random.Generator) -> Images:
    """Glare: the value of hue, saturation and value raised by that much."""
    value = images.max(axis=-1, keepdims=True)
    raised = np.minimum(value + np.float32(more), 1)
    return np.where(value > 0, images * (raised / np.maximum(value, 1e-6)), raised)
