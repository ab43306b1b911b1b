"""Plain convolutional networks: blocks of 3x3 convolutions, each ended by max pooling, then dense
layers.

The shape of VGG (Simonyan and Zisserman 2015, arXiv:1409.1556) at a size for 32-pixel images, with
the regularisers that courses teach: dropout (Srivastava et al. 2014), L2 on the kernels, batch
normalisation (Ioffe and Szegedy 2015). Differences from VGG: fewer and narrower blocks, dropout
after each block rather than between wide dense layers only, optional batch normalisation.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cifarlab.models.layers import FusedBatchNormalization, conv3x3, pixels
from cifarlab.models.registry import register


def conv_block(
    x: Any,
    filters: tuple[int, ...],
    dropout: float,
    *,
    batch_norm: bool,
    residual: bool,
    l2: float,
    name: str,
) -> Any:
    """3x3 convolutions, max pooling, dropout: (N, S, S, C) to (N, S/2, S/2, filters[-1])."""
    shortcut = None
    for i, width in enumerate(filters, start=1):
        x = conv3x3(x, width, f"{name}_conv{i}", use_bias=not batch_norm, l2=l2)
        if batch_norm:
            x = FusedBatchNormalization(name=f"{name}_norm{i}")(x)
        if residual and i == len(filters) > 1:
            x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.ReLU(name=f"{name}_relu{i}")(x)
        shortcut = x if i == 1 else shortcut
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x


@register
def plain_cnn(
    *,
    num_classes: int,
    image_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    blocks: tuple[tuple[int, ...], ...] = ((32, 32), (64, 64), (128, 128)),
    dense: tuple[int, ...] = (128,),
    block_dropout: tuple[float, ...] = (0.0, 0.0, 0.0),
    dropout: float = 0.5,
    batch_norm: bool = False,
    residual: bool = False,
    l2: float = 0.0,
) -> keras.Model:
    """Blocks of convolutions, then dense layers with dropout.

    Args:
        blocks: channels of each convolution of each block; each block halves the side.
        dense: units of the dense layers before the logits.
        block_dropout: fraction dropped after each block.
        dropout: fraction dropped after each dense layer.
        batch_norm: normalise after each convolution and dense layer.
        residual: add what a block's first convolution gives to what its last one gives (He et al.
            2015), in blocks of several; their first and last widths must be the same.
        l2: factor of the squared kernels in the loss.
    """
    if len(blocks) != len(block_dropout):
        raise ValueError(f"block_dropout needs {len(blocks)} values, one a block")
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    for i, (filters, rate) in enumerate(zip(blocks, block_dropout, strict=True), start=1):
        x = conv_block(
            x, filters, rate, batch_norm=batch_norm, residual=residual, l2=l2, name=f"block{i}"
        )
    x = layers.Flatten(name="flatten")(x)  # (N, 4 * 4 * 128)
    for i, units in enumerate(dense, start=1):
        regularizer = keras.regularizers.L2(l2) if l2 else None
        x = layers.Dense(
            units, use_bias=not batch_norm, kernel_regularizer=regularizer, name=f"dense{i}"
        )(x)
        if batch_norm:
            x = FusedBatchNormalization(name=f"dense{i}_norm")(x)
        x = layers.ReLU(name=f"dense{i}_relu")(x)
        x = layers.Dropout(dropout, name=f"dense{i}_dropout")(x) if dropout else x
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="plain_cnn")
