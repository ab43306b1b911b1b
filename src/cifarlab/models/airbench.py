"""Networks shaped for speed: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
arXiv:2404.00498.

A fixed whitening of 2x2 patches, then blocks of convolution, max pooling, convolution, each
normalised and activated; a linear head on the globally pooled features, its logits scaled down.
Pooling comes straight after the first convolution of a block, so that most of the work is done on
small maps. Three convolutions a block, the last two with a residual connection, are the paper's
airbench96.

Differences: GELU, whose exact form ONNX cannot take, is ``x sigmoid(1.702 x)`` (Hendrycks, Gimpel
2016, arXiv:1606.08415); pooling at the end is global, so that one network takes images of any size;
the widths are those of the later airbench94_muon.
"""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from cifarlab.models.layers import (
    Dirac,
    FastConv2D,
    FusedBatchNormalization,
    PatchWhitening,
    pixels,
)
from cifarlab.models.registry import register

# As normalisation has no scale of its own, how bent an activation is at unit deviation is a choice:
# SiLU, x sigmoid(x), is nearly straight there.
GELU_SLOPE = 1.702


def activate(x: Any, activation: str, name: str) -> Any:
    """ReLU or SiLU of `x`, or GELU times `GELU_SLOPE`: the next normalisation takes that out."""
    if activation == "gelu":
        x = layers.Rescaling(GELU_SLOPE, name=f"{name}_slope")(x)
        return layers.Activation("silu", name=f"{name}_gelu")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def conv_norm(x: Any, width: int, momentum: float, name: str, *, pool: bool = False) -> Any:
    """3x3 convolution that starts as the identity, optional 2x2 max pooling, batch
    normalisation with a bias and no scale: (N, S, S, C) to (N, S, S, width) or half of S."""
    dirac = {"use_bias": False, "kernel_initializer": Dirac()}
    x = FastConv2D(width, pooled=pool, name=f"{name}_conv", **dirac)(x)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x) if pool else x
    return FusedBatchNormalization(momentum, scale=False, name=f"{name}_norm")(x)


def block(x: Any, width: int, depth: int, activation: str, momentum: float, name: str) -> Any:
    """`depth` convolutions, pooled after the first: (N, S, S, C) to (N, S/2, S/2, width)."""
    x = conv_norm(x, width, momentum, f"{name}_1", pool=True)
    x = shortcut = activate(x, activation, f"{name}_1")
    for i in range(2, depth + 1):
        x = conv_norm(x, width, momentum, f"{name}_{i}")
        if i == 3:
            if activation == "gelu":  # no normalisation follows that would take the factor out
                shortcut = layers.Rescaling(1.0 / GELU_SLOPE, name=f"{name}_shortcut")(shortcut)
            x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = activate(x, activation, f"{name}_{i}")
    return x


@register
def airbench_cnn(
    *,
    num_classes: int,
    image_size: int | None,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    widths: tuple[int, ...] = (64, 256, 256),
    depth: Literal[2, 3] = 2,
    activation: Literal["relu", "silu", "gelu"] = "silu",
    whiten_bias: bool = True,
    norm_momentum: float = 0.6,
) -> keras.Model:
    """Whitening and one block a width.

    Args:
        widths: channels of each block; each block halves the side.
        depth: convolutions a block; 3 adds the residual connection.
        activation: after each normalisation.
        whiten_bias: train a bias of the whitening. Without it no gradient has to reach the first
            activation, the largest there is.
        norm_momentum: of the moving statistics. A short training changes the features to its end,
            so those of the last few thousand images count: 0.6 for batches of 2,000 (airbench94),
            more for smaller ones.
    """
    if depth not in (2, 3):
        raise ValueError(f"depth must be 2 or 3. Received: {depth!r}")
    if activation not in ("relu", "silu", "gelu"):
        raise ValueError(f"activation must be relu, silu or gelu. Received: {activation!r}")
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = PatchWhitening(use_bias=whiten_bias, name="whiten")(x)  # (N, 31, 31, 24)
    x = activate(x, activation, "whiten")
    for i, width in enumerate(widths, start=1):
        # (N, 15 | 7 | 3, …, width)
        x = block(x, width, depth, activation, norm_momentum, f"block{i}")
    x = layers.GlobalMaxPooling2D(name="pool")(x)  # (N, widths[-1])
    one = keras.initializers.RandomUniform(-(3**0.5), 3**0.5)  # of unit deviation
    x = layers.Dense(num_classes, use_bias=False, kernel_initializer=one, name="head")(x)
    slope = GELU_SLOPE if activation == "gelu" else 1.0
    logits = layers.Rescaling(1.0 / (slope * widths[-1]), name="logits")(x)
    return keras.Model(inputs, logits, name="airbench_cnn")
