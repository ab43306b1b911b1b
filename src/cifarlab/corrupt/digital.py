"""Digital: what processing and storing do to an image."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from cifarlab.corrupt.registry import Images, register
from cifarlab.corrupt.sampling import blur, sample, separable


@register("digital", 0.75, 0.5, 0.4, 0.3, 0.15)
def contrast(images: Images, share: float, random: np.random.Generator) -> Images:
    """Each channel drawn to its mean over the image until that share of its contrast is left."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return (images - mean) * np.float32(share) + mean


@register("digital", (0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))
def saturate(images: Images, strength: tuple[float, float], random: np.random.Generator) -> Images:
    """Saturation of hue, saturation and value times a factor plus a constant: paler, then gaudy.

    Own: grey pixels, which have no hue, stay grey.
    """
    factor, more = strength
    value = images.max(axis=-1, keepdims=True)
    chroma = value - images.min(axis=-1, keepdims=True)
    saturation = chroma / np.maximum(value, 1e-6)
    wanted = np.clip(saturation * np.float32(factor) + np.float32(more), 0, 1)
    ratio = np.where(saturation > 0, wanted / np.maximum(saturation, 1e-6), 1)
    return value - (value - images) * ratio


@register(
    "digital",
    (0.0, 0.0, 0.08),
    (0.05, 0.2, 0.07),
    (0.08, 0.06, 0.06),
    (0.1, 0.04, 0.05),
    (0.1, 0.03, 0.03),
)
def elastic_transform(
    images: Images, strength: tuple[float, float, float], random: np.random.Generator
) -> Images:
    """Stretched as on rubber: three points pulled at random, and a smooth field of small moves.

    The strength is the field's size and smoothness, and how far the points are pulled, as shares
    of the side. As published, the points move less while the field moves more.
    """
    count, side = images.shape[:2]
    size, smoothness, pull = (side * part for part in strength)
    third = max(side // 3, 1)
    low, high = side // 2 - third, side // 2 + third
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    # How much each of the points (high, high), (low, high), (low, low) moves every pixel:
    # barycentric coordinates, which add up to 1.
    first, last = (rows - low) / (high - low), (high - columns) / (high - low)
    weights = np.stack([first, 1 - first - last, last])
    pulls = random.uniform(-pull, pull, (2, count, 3)).astype(np.float32)
    moves = np.einsum("dnk,khw->dnhw", pulls, weights)
    field = random.uniform(-1, 1, (count, side, side, 2)).astype(np.float32)
    field = size * blur(field, smoothness) if size else np.zeros_like(field)
    return sample(images, rows + moves[0] + field[..., 0], columns + moves[1] + field[..., 1])


@register("digital", 0.95, 0.9, 0.85, 0.75, 0.65)
def pixelate(images: Images, share: float, random: np.random.Generator) -> Images:
    """Made smaller, to that share of the side, and large again, with Pillow's box filter."""
    side = images.shape[1]
    small = max(int(side * share), 1)
    return separable(images, box_matrix(side, small) @ box_matrix(small, side))


def box_matrix(target: int, side: int) -> np.ndarray:
    """(target, side): each new pixel the mean of the old ones whose centres lie in it.

    This is Pillow's box filter; where there are more new pixels than old ones, the nearest.

    Example:
        >>> box_matrix(2, 4).tolist()
        [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    width = max(side / target, 1)
    centre = (np.arange(target)[:, None] + 0.5) * side / target
    distance = (np.arange(side) + 0.5 - centre) / width
    inside = (distance > -0.5) & (distance <= 0.5)
    return inside / inside.sum(axis=1, keepdims=True)


@register("digital", 80, 65, 58, 50, 40)
def jpeg_compression(images: Images, quality: int, random: np.random.Generator) -> Images:
    """Stored as JPEG of that quality by Pillow."""
    pixels = np.rint(images * 255).astype(np.uint8)
    stored = np.stack([_through_jpeg(image, quality) for image in pixels])
    return stored.astype(np.float32) / np.float32(255)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored))
