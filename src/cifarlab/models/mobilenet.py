"""MobileNet: Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile
vision applications", arXiv:1704.04861, table 1.

Each 3x3 convolution is split into a depthwise one, which sees a channel at a time, and a 1x1, which
mixes channels: a ninth of the work, nearly. Difference: of the paper's five halvings of the side,
made for images of 224 pixels, only the last `halvings` are kept; with five this is the paper's
network.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cifarlab.models.layers import FusedBatchNormalization, conv3x3, pixels
from cifarlab.models.registry import register

# Channels of each block, and whether it halves the side; the stem (32 channels) is the first
# halving.
BLOCKS = (
    *((64, False), (128, True), (128, False), (256, True), (256, False), (512, True)),
    *[(512, False)] * 5,
    *((1024, True), (1024, False)),
)


def norm_relu(x: Any, name: str) -> Any:
    """Batch normalisation and ReLU, the shape of `x`."""
    return layers.ReLU(name=f"{name}_relu")(FusedBatchNormalization(name=f"{name}_norm")(x))


def separable_block(x: Any, width: int, stride: int, name: str) -> Any:
    """Depthwise 3x3, then 1x1 convolution: (N, S, S, C) to (N, S/stride, S/stride, width)."""
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = norm_relu(x, f"{name}_depthwise")
    x = layers.Conv2D(
        width, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_pointwise"
    )(x)
    return norm_relu(x, f"{name}_pointwise")


@register
def mobilenet(
    *,
    num_classes: int,
    image_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    width: float = 1.0,
    halvings: int = 3,
) -> keras.Model:
    """MobileNet with 3.2 million parameters at full width.

    Args:
        width: the paper's multiplier of all channels.
        halvings: how many of the five strides of two are kept, the last ones; 3 take 32 pixels to
            4.
    """
    if not 0 <= halvings <= 5:
        raise ValueError(f"halvings must be 0 to 5. Received: {halvings!r}")
    skipped = 5 - halvings
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = conv3x3(x, round(32 * width), "stem_conv", stride=1 if skipped else 2)
    x, seen = norm_relu(x, "stem"), 1
    for i, (channels, halves) in enumerate(BLOCKS, start=1):
        seen += halves
        x = separable_block(
            x, round(channels * width), 2 if halves and seen > skipped else 1, f"block{i}"
        )
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, 1024 width)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="mobilenet")
