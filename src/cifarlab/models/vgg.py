"""VGG: Simonyan and Zisserman 2015, "Very deep convolutional networks for large-scale image
recognition", arXiv:1409.1556, configurations A, B, D and E of its table 1.

Nothing but 3x3 convolutions in five stages, each ended by 2x2 max pooling. Differences: batch
normalisation after each convolution, without which the deep ones start hardly or not at all; one
linear layer on the globally pooled maps in place of three dense layers, whose 124 million
parameters were nine tenths of the network; pooling stops at one pixel; all widths may be scaled.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cifarlab.models.layers import FusedBatchNormalization, conv3x3, pixels
from cifarlab.models.registry import register

WIDTHS = (64, 128, 256, 512, 512)
# Layers with weights, three dense ones of the paper's counted, to convolutions a stage.
CONFIGURATIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def stage(x: Any, width: int, depth: int, name: str) -> Any:
    """`depth` convolutions and max pooling: (N, S, S, C) to (N, S/2, S/2, width)."""
    for i in range(1, depth + 1):
        x = conv3x3(x, width, f"{name}_conv{i}")
        x = FusedBatchNormalization(name=f"{name}_norm{i}")(x)
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
    return layers.MaxPooling2D(2, name=f"{name}_pool")(x) if x.shape[1] > 1 else x


@register
def vgg(
    *,
    num_classes: int,
    image_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    depth: int = 16,
    width: float = 1.0,
) -> keras.Model:
    """VGG with batch normalisation; VGG-16 has 14.7 million parameters.

    Args:
        depth: 11, 13, 16 or 19, as the paper counts: three more than there are convolutions.
        width: factor of all channels.
    """
    if depth not in CONFIGURATIONS:
        raise ValueError(f"depth must be one of {[*CONFIGURATIONS]}. Received: {depth!r}")
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    for i, (channels, count) in enumerate(zip(WIDTHS, CONFIGURATIONS[depth], strict=True), 1):
        x = stage(x, round(width * channels), count, f"stage{i}")  # sides 16, 8, 4, 2, 1
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, 512)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="vgg")
