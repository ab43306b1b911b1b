"""Exported models opened in their own runtimes, without the framework that trained them."""

from cifarlab.runtimes.info import INPUT, LOGITS, PROBABILITIES, ModelInfo

__all__ = ["INPUT", "LOGITS", "PROBABILITIES", "ModelInfo"]
