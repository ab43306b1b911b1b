"""The training loop and its compiled steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from cifarlab.engine.checkpoint import Progress
from cifarlab.engine.loop import Display, Loop
from cifarlab.engine.program import Memory, Program

__all__ = [
    "BATCH",
    "Display",
    "Loop",
    "Memory",
    "Program",
    "Progress",
    "feature_gradients",
    "forward",
    "in_layers",
    "layers_compute_in",
    "predict_logits",
]

BATCH = 500  # images that are predicted at a time


def in_layers(precision: str) -> bool:
    """Whether `precision` is a property of the layers that a model is made of.

    So it is on JAX. On TensorFlow the graph's optimizer sees to it, while it trains only.
    """
    return keras.backend.backend() == "jax" and precision == "bfloat16"


@contextmanager
def layers_compute_in(precision: str) -> Iterator[None]:
    """Have layers made within the block compute in `precision`, where they do; their weights are
    float32 always."""
    if not in_layers(precision):
        yield
        return
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def forward(model: Any, network: Any | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A compiled float32 ``images (N, S, S, 3) -> logits (N, C)`` on Keras's backend.

    Args:
        model: its weights at the time of each call.
        network: the same architecture in float32, where `model` computes in another precision.
    """
    if keras.backend.backend() == "jax":
        from cifarlab.engine import jax

        return jax.forward(model, network or model)
    from cifarlab.engine import tensorflow

    return tensorflow.forward(model)


def feature_gradients(
    model: Any, layer: str, images: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a layer finds in images, and how each place of that counts for a class.

    Args:
        model: a functional Keras model, used in inference mode.
        layer: name of a layer that everything after it depends on alone.
        images: uint8 or float32 (N, S, S, 3), pixels in [0, 255]; one batch.
        classes: int (N,), whose logit of each image is differentiated.

    Returns:
        The layer's outputs and the gradients of the logits with respect to them, both float32 of
        the outputs' shape.
    """
    between = model.get_layer(layer).output
    body, head = keras.Model(model.inputs, between), keras.Model(between, model.outputs[0])
    if keras.backend.backend() == "jax":
        from cifarlab.engine import jax

        return jax.feature_gradients(body, head, images, classes)
    from cifarlab.engine import tensorflow

    return tensorflow.feature_gradients(body, head, images, classes)


def predict_logits(
    call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int = BATCH
) -> np.ndarray:
    """Logits float32 (N, C) of uint8 `images` (N, S, S, 3), batch by batch.

    Args:
        call: what `forward` gave.
        images: at least one.
        batch_size: images a call; the last batch is filled up, so that one program serves all.
    """
    size = min(batch_size, len(images))
    logits = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        logits.append(call(filled)[: len(batch)])
    return np.concatenate(logits)
