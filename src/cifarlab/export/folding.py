"""Batch normalisation taken up by the layer before it (Jacob et al. 2018, arXiv:1712.05877, 3.2).

In inference a batch normalisation is ``x * scale + shift`` of each channel, and so it can be part
of the kernel and the bias of the convolution before it. Max pooling stands between the two in some
networks: it changes places with such a map where no scale is negative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers


class Affine(NamedTuple):
    """``x * scale + shift`` of each channel, both float64 (C,)."""

    scale: np.ndarray
    shift: np.ndarray


def foldable(model: keras.Model) -> dict[str, tuple[str, Affine]]:
    """What each batch normalisation that can go becomes: its name to (name of the layer before,
    what that layer takes up).

    Args:
        model: functional, each layer called once.
    """
    operations = [op for op in model.operations if not isinstance(op, layers.InputLayer)]
    makers = {id(op.output): op for op in operations}
    read = [id(tensor) for op in operations for tensor in keras.tree.flatten(op.input)]
    private = {tensor for tensor in makers if read.count(tensor) == 1}
    found = {}
    for norm in operations:
        if isinstance(norm, layers.BatchNormalization) and norm.axis in (-1, norm.input.ndim - 1):
            affine = affine_of(norm)
            before = _linear_before(norm, affine, makers, private)
            if before is not None:
                found[norm.name] = (before.name, affine)
    return found


def affine_of(norm: layers.BatchNormalization) -> Affine:
    """The map that `norm` is in inference.

    Example:
        >>> norm = layers.BatchNormalization(epsilon=0.0)
        >>> norm.build((None, 2))
        >>> norm.set_weights([np.array([2, 6]), np.array([1, 1]), np.zeros(2), np.array([4, 9])])
        >>> affine_of(norm).scale.tolist(), affine_of(norm).shift.tolist()
        ([1.0, 2.0], [1.0, 1.0])
    """
    mean, variance = (_numbers(w) for w in (norm.moving_mean, norm.moving_variance))
    scale = (_numbers(norm.gamma) if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    return Affine(scale, (_numbers(norm.beta) if norm.center else 0.0) - mean * scale)


def fold(layer: layers.Layer, affine: Affine) -> list[np.ndarray]:
    """Kernel (…, C) and bias (C,) of `layer` followed by `affine`, float32."""
    kernel, *bias = (_numbers(weight) for weight in layer.weights)
    shift = affine.shift + affine.scale * (bias[0] if bias else 0.0)
    return [(kernel * affine.scale).astype("float32"), shift.astype("float32")]


def _linear_before(norm: Any, affine: Affine, makers: dict[int, Any], private: set[int]) -> Any:
    """The convolution or dense layer that `norm` can go into; None where there is none."""
    tensor = norm.input
    while id(tensor) in private:
        maker = makers[id(tensor)]
        if isinstance(maker, layers.Conv2D | layers.Dense):
            return maker if maker.activation is keras.activations.linear else None
        if not isinstance(maker, layers.MaxPooling2D) or affine.scale.min() < 0:
            return None
        tensor = maker.input
    return None


def _numbers(weight: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(weight).astype("float64")
