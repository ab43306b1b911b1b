"""Where in an image the evidence for a class is, asked of nothing but a model's answers.

NumPy only: the one explanation of an exported model, whose layers cannot be looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cifarlab.errors import UsageError
from cifarlab.metrics import softmax

BATCH_SIZE = 256

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def occlusion_map(
    call: Logits,
    image: NDArray[np.uint8],
    class_index: int,
    patch: int | None = None,
    stride: int | None = None,
) -> NDArray[np.float32]:
    """How much of a class's probability is lost where a patch covers the image.

    A square in the image's mean colour slides over it and beyond its borders, so that every pixel
    is covered; a pixel's value is the mean, over the squares that cover it, of the probability
    without minus the probability with the square. Needs no model, only its answers.

    Args:
        call: images uint8 (N, S, S, 3) -> logits (N, C).
        image: uint8 (S, S, 3).
        class_index: in [0, C).
        patch: the square's side in pixels; a quarter of the image by default.
        stride: pixels from one square to the next, at most `patch`; a quarter of it by default.

    Returns:
        float32 (S, S) in [-1, 1]: positive where the image speaks for the class, negative where
        covering it makes the class more probable.

    Raises:
        UsageError: patch, stride or class is out of range.

    Reference:
        Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks",
        arXiv:1311.2901, section 4.2.

    Example:
        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> image[:4, :4] = 255  # what the model looks at
        >>> corner = lambda images: images[:, 0, 0, :2] / 64 * [1.0, 0.0]
        >>> found = occlusion_map(corner, image, class_index=0, patch=4, stride=4)
        >>> bool(found[0, 0] > 0.2), float(found[7, 7])
        (True, 0.0)
    """
    side = image.shape[0]
    patch = max(side // 4, 1) if patch is None else patch
    stride = max(patch // 4, 1) if stride is None else stride
    if not 1 <= stride <= patch <= side:
        raise UsageError(
            f"1 <= stride <= patch <= {side}, the image's side. Received: {stride}, {patch}"
        )
    starts = np.arange(stride - patch, side, stride)
    place = np.arange(side)
    inside = (starts[:, None] <= place) & (place < starts[:, None] + patch)  # (P, S)
    masks = (inside[:, None, :, None] & inside[None, :, None, :]).reshape(-1, side, side)
    colour = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    covered = np.where(masks[..., None], colour, image)
    views = np.concatenate([image[None], covered])
    batches = [views[start : start + BATCH_SIZE] for start in range(0, len(views), BATCH_SIZE)]
    probabilities = softmax(np.concatenate([call(batch) for batch in batches]))
    checked_classes(np.array([class_index]), probabilities.shape[1])
    lost = probabilities[0, class_index] - probabilities[1:, class_index]
    weights = masks.reshape(len(masks), -1).astype(np.float64)
    return (lost @ weights / weights.sum(axis=0)).reshape(side, side).astype(np.float32)


def checked_classes(classes: NDArray, num_classes: int) -> NDArray:
    """`classes`, or `UsageError` where one is no class."""
    if classes.min() < 0 or classes.max() >= num_classes:
        raise UsageError(
            f"a class is 0 to {num_classes - 1}. Received: {classes.min()} to {classes.max()}"
        )
    return classes
