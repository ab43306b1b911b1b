"""Exported models opened in their own runtimes, without the framework that trained them."""

from cifarlab.runtimes.exported import Exported, filled_to_power_of_two
from cifarlab.runtimes.info import INPUT, LOGITS, PROBABILITIES, ModelInfo
from cifarlab.runtimes.opening import exported_file, is_exported, open_model

__all__ = [
    "INPUT",
    "LOGITS",
    "PROBABILITIES",
    "Exported",
    "ModelInfo",
    "exported_file",
    "filled_to_power_of_two",
    "is_exported",
    "open_model",
]
