"""Random changes of training images, inside the compiled step.

Each operation takes a batch of pixels in [0, 255] of shape (N, S, S, 3) and a
`keras.random.SeedGenerator`, and draws for every image on its own. The engine sets the generator's
state from (seed, epoch, step), so the same step of the same training always sees the same images.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import keras
import numpy as np
from keras import ops, random

from cifarlab.recipes import Augmentation


def mirror(images: Any, which: Any) -> Any:
    """Mirror left and right the images that bool `which` (N,) says."""
    # Not images[:, :, ::-1], which is the same but takes TensorFlow on a CPU 7 times longer.
    return ops.where(which[:, None, None, None], ops.flip(images, axis=2), images)


def random_flip(images: Any, seed: random.SeedGenerator) -> Any:
    """Mirror left and right, each image with probability 1/2."""
    return mirror(images, random.uniform((ops.shape(images)[0],), seed=seed) < 0.5)


def reflect(index: Any, side: int) -> Any:
    """The pixel in [0, side) that is seen at `index`, up to ``side - 1`` beyond either border.

    Example:
        >>> np.asarray(reflect(np.arange(-2, 5), side=3)).tolist()
        [2, 1, 0, 1, 2, 1, 0]
    """
    last = side - 1
    return last - ops.abs(last - ops.abs(index))


def random_shift(
    images: Any, pixels: int, seed: random.SeedGenerator, crop: int | None = None
) -> Any:
    """A square of `crop` pixels a side out of each image, from anywhere within it and up to
    `pixels` beyond its border, where the reflection of the image is seen.

    Without `crop` it is as large as the image, which so is moved by up to `pixels` both ways.
    Padding by reflection and cropping at random (He et al. 2015 pad with zeros), as one gather
    from the images as they are.
    """
    n, side = ops.shape(images)[0], images.shape[1]
    crop = crop or side
    stop = side + pixels - crop + 1
    corner = random.randint((2, n, 1, 1), -pixels, stop, dtype="int32", seed=seed)
    along = ops.arange(crop, dtype="int32")
    rows = reflect(corner[0] + along[None, :, None], side)  # (N, crop, 1)
    columns = reflect(corner[1] + along[None, None, :], side)  # (N, 1, crop)
    image = ops.arange(n, dtype="int32")[:, None, None]
    flat = ops.reshape(images, (-1, images.shape[-1]))
    return ops.take(flat, (image * side + rows) * side + columns, axis=0)  # (N, crop, crop, 3)


def random_affine(
    images: Any, *, degrees: float, zoom: float, shift: float, seed: random.SeedGenerator
) -> Any:
    """Rotate, scale and move, about the image's centre, in one bilinear resampling.

    Args:
        degrees: up to this rotation both ways.
        zoom: scaled by a factor in [1 - zoom, 1 + zoom].
        shift: moved by up to this fraction of the side, both ways.
    """
    n, side = ops.shape(images)[0], images.shape[1]
    middle = (side - 1) / 2
    draws = random.uniform((4, n), -1.0, 1.0, seed=seed)
    angle = draws[0] * math.radians(degrees)
    scale = 1.0 / (1.0 + zoom * draws[1])
    cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
    dx, dy = draws[2] * shift * side, draws[3] * shift * side
    # Maps an output pixel (x, y) to the input pixel (cos x - sin y + …, sin x + cos y + …).
    x0 = middle - (cos - sin) * middle + dx
    y0 = middle - (sin + cos) * middle + dy
    zero = ops.zeros_like(cos)
    transform = ops.stack([cos, -sin, x0, sin, cos, y0, zero, zero], axis=1)  # (N, 8)
    images = ops.cast(images, "float32")
    return ops.image.affine_transform(
        images,
        transform,
        interpolation="bilinear",
        fill_mode="reflect",
        data_format="channels_last",
    )


def cutout(images: Any, side: int, seed: random.SeedGenerator) -> Any:
    """Put one square of `side` pixels, centred anywhere, to mid grey.

    Reference: DeVries and Taylor 2017, "Cutout", arXiv:1708.04552.
    """
    n, size = ops.shape(images)[0], images.shape[1]
    centre = random.randint((2, n, 1, 1), 0, size, dtype="int32", seed=seed)
    grid = ops.arange(size, dtype="int32")
    offset_y = grid[None, :, None] - centre[0] + side // 2  # 0 … side - 1 inside the square
    offset_x = grid[None, None, :] - centre[1] + side // 2
    inside_y = ops.logical_and(offset_y >= 0, offset_y < side)
    inside_x = ops.logical_and(offset_x >= 0, offset_x < side)
    inside = ops.logical_and(inside_y, inside_x)[..., None]  # (N, S, S, 1)
    return ops.where(inside, ops.cast(128, images.dtype), images)


def random_light(
    images: Any, *, brightness: float, contrast: float, seed: random.SeedGenerator
) -> Any:
    """Make each image lighter or darker, and scale its distance from mid grey.

    Args:
        brightness: added, up to this fraction of 255 both ways.
        contrast: multiplied, by a factor in [1 - contrast, 1 + contrast].

    Returns:
        float32 in [0, 255].
    """
    draws = random.uniform((2, ops.shape(images)[0], 1, 1, 1), -1.0, 1.0, seed=seed)
    grey = 127.5
    from_grey = ops.cast(images, "float32") - grey + 255.0 * brightness * draws[0]
    return ops.clip(from_grey * (1.0 + contrast * draws[1]) + grey, 0.0, 255.0)


def _half_of_them(shape: tuple, seed: random.SeedGenerator) -> Any:
    """Strengths, float32 of this shape: 0 for about half, the others uniform in [0, 1]."""
    return ops.maximum(random.uniform(shape, -1.0, 1.0, seed=seed), 0.0)


def random_blur(images: Any, deviation: float, seed: random.SeedGenerator) -> Any:
    """Blur with a Gaussian whose two deviations are drawn apart, each up to `deviation` pixels.

    Apart, so that some images are drawn out like those of a moving camera. About a quarter stays
    as it is. At the border the kernel is cut off and what is left of it normalised.
    """
    n, side, channels = ops.shape(images)[0], images.shape[1], images.shape[3]
    places = ops.arange(side, dtype="float32")
    squares = ops.square(places[:, None] - places[None, :])
    x = ops.cast(images, "float32")
    deviations = deviation * _half_of_them((2, n, 1, 1), seed)
    for axis in range(2):  # down the columns, then along the rows: each turn swaps the two
        sigma = deviations[axis]
        kernel = ops.softmax(-squares / (2.0 * ops.square(sigma) + 1e-4))  # (N, S, S)
        x = ops.matmul(kernel, ops.reshape(x, (-1, side, side * channels)))
        x = ops.transpose(ops.reshape(x, (-1, side, side, channels)), (0, 2, 1, 3))
    return x


def random_noise(images: Any, deviation: float, seed: random.SeedGenerator) -> Any:
    """Add normal noise to about half of the images, of up to `deviation` of 255; float32.

    Rusak et al. 2020, "A simple way to make neural networks robust against diverse image
    corruptions", arXiv:2001.06057.
    """
    strength = 255.0 * deviation * _half_of_them((ops.shape(images)[0], 1, 1, 1), seed)
    noise = random.normal(ops.shape(images), seed=seed) * strength
    return ops.clip(ops.cast(images, "float32") + noise, 0.0, 255.0)


@cache
def resize_matrix(before: int, after: int) -> np.ndarray:
    """Weights float32 (after, before) that resize a line of pixels: bilinear, antialiased.

    A triangle as wide as the coarser of the two grids' spacing, about each new pixel's centre.
    """
    spacing = before / after
    centres = (np.arange(after) + 0.5) * spacing
    distances = np.abs(np.arange(before) + 0.5 - centres[:, None]) / max(spacing, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def resize(images: Any, size: int) -> Any:
    """Images (N, S, S, 3) at `size` pixels a side, float32: bilinear with antialiasing.

    Two matrix products, which agree with Keras's ``ops.image.resize`` to 1e-3 of 255 and take a
    fifth of its time on TensorFlow.
    """
    side, channels = images.shape[1], images.shape[3]
    images = ops.cast(images, "float32")
    if side == size:
        return images
    weights = ops.convert_to_tensor(resize_matrix(side, size))
    x = ops.matmul(weights[None], ops.reshape(images, (-1, side, side * channels)))
    x = ops.transpose(ops.reshape(x, (-1, size, side, channels)), (0, 1, 3, 2))
    x = ops.matmul(ops.reshape(x, (-1, side)), ops.transpose(weights))  # (N * size * 3, size)
    return ops.transpose(ops.reshape(x, (-1, size, channels, size)), (0, 1, 3, 2))


class Augment(keras.layers.Layer):
    """A recipe's augmentation as one layer: uint8 (N, S, S, 3) in, float32 (N, size, size, 3) in
    [0, 255] out.

    Args:
        augmentation: which operations, and how strong.

    Example:
        >>> import numpy as np
        >>> layer = Augment(Augmentation(flip=True, shift=0.125))
        >>> layer(np.zeros((2, 32, 32, 3), "uint8")).shape
        TensorShape([2, 32, 32, 3])
    """

    def __init__(self, augmentation: Augmentation):
        super().__init__(trainable=False, name="augment")
        self.augmentation = augmentation
        self.seed_generator = random.SeedGenerator(0)  # the engine sets its state at every step
        self.built = True  # it has no weights to wait for

    def call(self, images: Any, mirrored: Any = None, size: int | None = None) -> Any:
        """Draw and apply: geometry, then lens, light and sensor.

        Args:
            images: uint8 (N, S, S, 3).
            mirrored: bool (N,), which ones to flip where the augmentation says to alternate.
            size: pixels a side of what comes out; by default as many as the crop or S.
        """
        a, seed = self.augmentation, self.seed_generator
        if a.flip and a.alternate and mirrored is not None:
            images = mirror(images, mirrored)
        elif a.flip:
            images = random_flip(images, seed)
        if a.rotation or a.zoom:
            images = random_affine(
                images, degrees=a.rotation, zoom=a.zoom, shift=a.shift, seed=seed
            )
        elif a.shift or a.crop:
            side = images.shape[1]  # a reflection is one pixel smaller than the image
            pixels = min(max(1, round(a.shift * side)), side - 1) if a.shift else 0
            images = random_shift(images, pixels, seed, a.crop or side)
        if a.cutout:
            images = cutout(images, a.cutout, seed)
        images = resize(images, size or images.shape[1])
        if a.blur:
            images = random_blur(images, a.blur, seed)
        if a.brightness or a.contrast:
            images = random_light(images, brightness=a.brightness, contrast=a.contrast, seed=seed)
        if a.noise:
            images = random_noise(images, a.noise, seed)
        return images
