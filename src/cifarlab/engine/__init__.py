"""The training loop and its compiled steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cifarlab.engine.checkpoint import Progress
from cifarlab.engine.loop import Display, Loop
from cifarlab.engine.program import Program

__all__ = ["Display", "Loop", "Program", "Progress", "forward", "predict_logits"]


def forward(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A compiled float32 ``images (N, S, S, 3) -> logits (N, C)`` on Keras's backend."""
    if keras.backend.backend() == "jax":
        from cifarlab.engine.jax import forward as compiled
    else:
        from cifarlab.engine.tensorflow import forward as compiled
    return compiled(model)


def predict_logits(
    call: Callable[[np.ndarray], np.ndarray], images: np.ndarray, batch_size: int = 500
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
