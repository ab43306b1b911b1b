"""A learning rate that rises and falls in straight lines."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule


@keras.saving.register_keras_serializable("cifarlab")
class Triangle(LearningRateSchedule):
    """Linear from 0 to the peak, then linear to the last rate (Smith and Topin 2017,
    arXiv:1708.07120).

    Args:
        peak: highest learning rate.
        steps: steps of the whole training.
        warmup: fraction of `steps` until the peak.
        final: the last rate as a fraction of `peak`.
    """

    def __init__(self, peak: float, steps: int, warmup: float, final: float):
        self.peak, self.steps, self.warmup, self.final = peak, steps, warmup, final

    def __call__(self, step: Any) -> Any:
        """The learning rate of `step`, counted from 0."""
        done = (ops.cast(step, "float32") + 1.0) / self.steps
        rising = done / max(self.warmup, 1.0 / self.steps)
        falling = 1.0 - (1.0 - self.final) * (done - self.warmup) / (1.0 - self.warmup)
        return self.peak * ops.minimum(rising, ops.maximum(falling, self.final))

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup": self.warmup,
            "final": self.final,
        }
