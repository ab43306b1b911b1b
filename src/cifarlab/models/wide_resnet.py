"""Wide residual networks: Zagoruyko and Komodakis 2016, arXiv:1605.07146.

A residual network that is wider rather than deeper: three stages of n blocks at 16, 32 and 64
channels times k, 6n + 4 convolutions. In a block, normalisation and activation come before each
convolution (He et al. 2016, arXiv:1603.05027), so that the sums pass from end to end untouched.
WRN-28-10 reaches 96.0 % in the paper, with dropout 96.1 %. Difference: none.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cifarlab.models.layers import FusedBatchNormalization, conv3x3, pixels
from cifarlab.models.registry import register


def norm_relu(x: Any, name: str) -> Any:
    """Batch normalisation and ReLU, the shape of `x`."""
    return layers.ReLU(name=f"{name}_relu")(FusedBatchNormalization(name=f"{name}_norm")(x))


def wide_block(x: Any, width: int, stride: int, dropout: float, name: str) -> Any:
    """Two convolutions added to their input: (N, S, S, C) to (N, S/stride, S/stride, width).

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input.
    """
    shortcut, x = x, norm_relu(x, f"{name}_1")
    if stride > 1 or shortcut.shape[-1] != width:
        shortcut = layers.Conv2D(
            width,
            1,
            strides=stride,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_shortcut",
        )(x)
    x = norm_relu(conv3x3(x, width, f"{name}_1_conv", stride=stride), f"{name}_2")
    x = layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
    x = conv3x3(x, width, f"{name}_2_conv")
    return layers.Add(name=f"{name}_add")([x, shortcut])


@register
def wide_resnet(
    *,
    num_classes: int,
    image_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    depth: int = 16,
    width: int = 4,
    dropout: float = 0.0,
) -> keras.Model:
    """WRN-depth-width; WRN-16-4 has 2.7 million parameters, WRN-28-10 36.5 million.

    Args:
        depth: convolutions, those of the three shortcuts included, 6n + 4: 10, 16, 28, 40 …
        width: k, the factor of 16, 32 and 64 channels.
        dropout: fraction dropped between the two convolutions of a block.
    """
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"depth must be 6n + 4: 10, 16, 22, 28 …. Received: {depth!r}")
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = conv3x3(x, 16, "stem_conv")  # (N, 32, 32, 16)
    for stage, channels in enumerate((16, 32, 64), start=1):  # sides 32, 16, 8
        for block in range(1, (depth - 4) // 6 + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = wide_block(x, width * channels, stride, dropout, f"stage{stage}_block{block}")
    x = norm_relu(x, "final")
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, 64 k)
    logits = layers.Dense(num_classes, kernel_initializer="he_normal", name="logits")(x)
    return keras.Model(inputs, logits, name="wide_resnet")
