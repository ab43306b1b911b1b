"""Small changes of place, size and direction: not in CIFAR-10-C, all strengths are our own.

The direction, or whether larger or smaller, is drawn for each image; what comes in at the border
is the mirror image. Engstrom et al. 2019, "Exploring the Landscape of Spatial Robustness",
arXiv:1712.02779, showed that shifts of 3 pixels and rotations of 30° fool networks.
"""

from __future__ import annotations

import numpy as np

from cifarlab.corrupt.registry import Images, register
from cifarlab.corrupt.sampling import pick, sample

DIRECTIONS = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])


@register("geometry", 1, 2, 3, 4, 5)
def shift(images: Images, pixels: int, random: np.random.Generator) -> Images:
    """Moved by that many pixels to the left, right, top or bottom, whatever the image's size."""
    place = np.arange(images.shape[1])
    moves = pixels * DIRECTIONS[random.integers(4, size=len(images))]
    rows, columns = moves[:, 0, None, None], moves[:, 1, None, None]
    return pick(images, place[:, None] + rows, place + columns)


@register("geometry", 1.1, 1.2, 1.3, 1.4, 1.5)
def scale(images: Images, factor: float, random: np.random.Generator) -> Images:
    """Larger or smaller by that factor, about the centre."""
    centre = (images.shape[1] - 1) / 2
    offset = np.arange(images.shape[1]) - centre
    ratio = np.where(random.random(len(images)) < 0.5, factor, 1 / factor)[:, None, None]
    rows, columns = np.broadcast_arrays(centre + offset[:, None] * ratio, centre + offset * ratio)
    return sample(images, rows, columns)


@register("geometry", 5, 10, 15, 20, 30)
def rotate(images: Images, degrees: float, random: np.random.Generator) -> Images:
    """Turned by that many degrees to either side, about the centre."""
    centre = (images.shape[1] - 1) / 2
    offset = np.arange(images.shape[1]) - centre
    sign = np.where(random.random(len(images)) < 0.5, 1, -1)[:, None, None]
    sine, cosine = np.sin(np.radians(degrees)) * sign, np.cos(np.radians(degrees))
    rows = centre + cosine * offset[:, None] - sine * offset
    columns = centre + sine * offset[:, None] + cosine * offset
    return sample(images, rows, columns)
