"""Noise: of the sensor, of few photons, of dead pixels."""

from __future__ import annotations

import numpy as np

from cifarlab.corrupt.registry import Images, register


@register("noise", 0.04, 0.06, 0.08, 0.09, 0.10)
def gaussian_noise(images: Images, deviation: float, random: np.random.Generator) -> Images:
    """A normal number added to every channel of every pixel, as in poor light."""
    return images + np.float32(deviation) * random.standard_normal(images.shape, np.float32)


@register("noise", 500, 250, 100, 75, 50)
def shot_noise(images: Images, photons: float, random: np.random.Generator) -> Images:
    """Light counted in few photons: a Poisson number in place of each value."""
    return random.poisson(images * np.float32(photons)).astype(np.float32) / np.float32(photons)


@register("noise", 0.01, 0.02, 0.03, 0.05, 0.07)
def impulse_noise(images: Images, share: float, random: np.random.Generator) -> Images:
    """A share of all values set to black or white: salt and pepper."""
    draw = random.random(images.shape, np.float32)
    return np.where(draw < share / 2, 0, np.where(draw < share, 1, images))


@register("noise", 0.06, 0.10, 0.12, 0.16, 0.20)
def speckle_noise(images: Images, deviation: float, random: np.random.Generator) -> Images:
    """Normal noise in proportion to the brightness."""
    return images * (1 + np.float32(deviation) * random.standard_normal(images.shape, np.float32))
