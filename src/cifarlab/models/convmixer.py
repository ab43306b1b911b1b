"""ConvMixer: Trockman and Kolter 2022, "Patches are all you need?", arXiv:2201.09792.

The image is cut into patches, as for a vision transformer; then every layer mixes places by a
large depthwise convolution and channels by a 1x1 convolution, at one size from end to end. On
CIFAR-10 the paper's ConvMixer-256/8 with patches of one pixel passes 96 % with 0.7 million
parameters, at 0.7 billion multiply-adds an image. Difference: GELU by its tanh form, which exports
can take.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cifarlab.models.layers import FusedBatchNormalization, pixels
from cifarlab.models.registry import register


def gelu_norm(x: Any, name: str) -> Any:
    """Activation, then batch normalisation, the shape of `x`."""
    x = layers.Activation(approximate_gelu, name=f"{name}_gelu")(x)
    return FusedBatchNormalization(name=f"{name}_norm")(x)


@keras.saving.register_keras_serializable("cifarlab")
def approximate_gelu(x: Any) -> Any:
    """GELU by tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return keras.activations.gelu(x, approximate=True)


def mixer(x: Any, width: int, kernel: int, name: str) -> Any:
    """Places mixed with a shortcut, then channels: (N, S, S, width) to the same."""
    mixed = layers.DepthwiseConv2D(kernel, padding="same", name=f"{name}_places")(x)
    x = layers.Add(name=f"{name}_add")([gelu_norm(mixed, f"{name}_places"), x])
    return gelu_norm(layers.Conv2D(width, 1, name=f"{name}_channels")(x), f"{name}_channels")


@register
def convmixer(
    *,
    num_classes: int,
    image_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    width: int = 256,
    depth: int = 8,
    kernel: int = 9,
    patch: int = 1,
) -> keras.Model:
    """ConvMixer-width/depth.

    Args:
        width: channels of every layer.
        depth: layers.
        kernel: side of the depthwise convolutions.
        patch: pixels a side of a patch.
    """
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = layers.Conv2D(width, patch, strides=patch, name="patches")(x)  # (N, 32/patch, …, width)
    x = gelu_norm(x, "patches")
    for i in range(1, depth + 1):
        x = mixer(x, width, kernel, f"layer{i}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)  # (N, width)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="convmixer")
