"""Residual networks for CIFAR: He, Zhang, Ren and Sun 2015, "Deep Residual Learning",
arXiv:1512.03385, section 4.2.

Three stages of n blocks at 16, 32 and 64 channels, 6n + 2 layers: ResNet-20 has 0.27 million
parameters and reaches 91.25 % in the paper. Difference: none; the shortcut across stages is the
paper's option A (every second pixel, channels filled up with zeros), which has no parameters.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from cifarlab.models.layers import FusedBatchNormalization, conv3x3, pixels
from cifarlab.models.registry import register


def conv_norm(x: Any, width: int, stride: int, name: str) -> Any:
    """3x3 convolution and batch normalisation: (N, S, S, C) to (N, S/stride, S/stride, width)."""
    x = conv3x3(x, width, f"{name}_conv", stride=stride)
    return FusedBatchNormalization(name=f"{name}_norm")(x)


def basic_block(x: Any, width: int, stride: int, name: str) -> Any:
    """Two 3x3 convolutions added to their input: (N, S, S, C) to (N, S/stride, S/stride, width)."""
    shortcut = x
    if stride > 1 or x.shape[-1] != width:
        more = width - x.shape[-1]
        shortcut = x[:, ::stride, ::stride]
        shortcut = ops.pad(shortcut, ((0, 0), (0, 0), (0, 0), (more // 2, more - more // 2)))
    x = conv_norm(x, width, stride, f"{name}_1")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = conv_norm(x, width, 1, f"{name}_2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_2_relu")(x)


def resnet(
    depth: int, num_classes: int, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> keras.Model:
    """A CIFAR ResNet of `depth` = 6n + 2 weighted layers."""
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = conv_norm(x, 16, 1, "stem")
    x = layers.ReLU(name="stem_relu")(x)  # (N, 32, 32, 16)
    for stage, width in enumerate((16, 32, 64), start=1):  # sides 32, 16, 8
        for block in range(1, (depth - 2) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = basic_block(x, width, stride, f"stage{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, 64)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(inputs, logits, name=f"resnet{depth}")


@register
def resnet20(
    *, num_classes: int, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> keras.Model:
    """ResNet-20: 0.27 million parameters, 41 million multiply-adds an image."""
    return resnet(20, num_classes, image_size, mean, std)


@register
def resnet56(
    *, num_classes: int, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> keras.Model:
    """ResNet-56: 0.86 million parameters, 126 million multiply-adds an image."""
    return resnet(56, num_classes, image_size, mean, std)
