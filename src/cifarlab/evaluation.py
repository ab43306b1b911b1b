"""Logits and labels on a split, and every figure derived from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from cifarlab import metrics

VIEWS = {
    "none": [(False, 0, 0)],
    "flip": [(False, 0, 0), (True, 0, 0)],
    # The views of Jordan 2024 (arXiv:2404.00498), whose weights average mirror images half and
    # half.
    "shift": [(flip, d, d) for d in (0, -1, 1) for flip in (False, True)],
}
TTAS = (*VIEWS, "selective")
UNSURE = 0.25  # the share of images that "selective" looks at again


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Logits and labels on a split, and every figure derived from them.

    Attributes:
        split: ``"test"``, ``"val"`` or ``"train"``.
        logits: float32 (N, C), as the model gives them.
        labels: int64 (N,).
        class_names: C names.
        tta: test-time augmentation, ``"none"``, ``"flip"``, ``"shift"`` or ``"selective"``.
        test_looks: how often this run's test split has been opened, this time included.
        seconds: wall time of the predictions.
        temperature: fitted on validation; every figure is of the logits divided by it.
        thresholds: precision as text to the confidence from which it was reached on validation.
        plain: the logits (N, C) of the images as they are, where `tta` averaged over more views.
        plain_seconds: wall time of those.
        unknowns: how well `known` tells pictures of other things apart, where that was asked for
            (`cifarlab.unknowns.separation`).

    Example:
        >>> logits = np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]], "float32")
        >>> labels = np.array([0, 1, 1])
        >>> evaluation = Evaluation("test", logits, labels, ("cat", "dog"), "none", 1, 0.0)
        >>> evaluation.n, round(evaluation.accuracy, 3), evaluation.confusion_matrix.tolist()
        (3, 0.667, [[1, 0], [1, 1]])
    """

    split: str
    logits: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    tta: str
    test_looks: int
    seconds: float
    temperature: float = 1.0
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    plain: np.ndarray | None = None
    plain_seconds: float = 0.0
    unknowns: Mapping[str, Any] | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @cached_property
    def predictions(self) -> np.ndarray:
        """The predicted class of each image, int64 (N,)."""
        return self.logits.argmax(axis=1)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated: softmax of the logits divided by the temperature, (N, C)."""
        return metrics.softmax(self.logits / self.temperature)

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Every figure, as `metrics.summarize` computes it, what each threshold gives here, and
        what the views of `tta` gained and cost."""
        scaled = self.logits.astype(np.float64) / self.temperature
        kept = {
            share: None
            if at is None
            else {"confidence": at, **metrics.answered_from(scaled, self.labels, at)}
            for share, at in self.thresholds.items()
        }
        figures = metrics.summarize(self.logits, self.labels, self.class_names, self.temperature)
        return {**figures, "thresholds": kept, "tta_gain": self._gain()}

    def _gain(self) -> dict[str, Any] | None:
        """With the views of `tta` against without, on the same images; None of one view."""
        if self.plain is None:
            return None
        without = self.plain.argmax(axis=1)
        pair = self.labels, without, self.predictions
        difference, low, high = metrics.paired_bootstrap(*pair)
        return {
            "views": views_an_image(self.tta, self.n),
            "accuracy_without": float((without == self.labels).mean()),
            "difference": difference,
            "difference_ci95": [low, high],
            "p_value": metrics.mcnemar(*pair).p_value,
            "seconds_ratio": self.seconds / self.plain_seconds if self.plain_seconds else None,
        }

    @property
    def accuracy(self) -> float:
        """Fraction classified right."""
        return self.figures["accuracy"]

    @property
    def accuracy_ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy, over the draw of images."""
        low, high = self.figures["accuracy_ci95"]
        return low, high

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return self.figures["loss"]

    @property
    def ece(self) -> float:
        """Expected calibration error over 15 bins of equal width."""
        return self.figures["ece"]

    @property
    def per_class(self) -> dict[str, dict[str, float]]:
        """Class name to precision, recall, f1 and support."""
        return self.figures["per_class"]

    @property
    def confusion_matrix(self) -> np.ndarray:
        """Counts, int64 (C, C): rows are true classes, columns predicted ones."""
        return np.array(self.figures["confusion_matrix"])

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON-ready values; ``unknowns`` only where they were measured."""
        looks = {"tta": self.tta, "test_looks": self.test_looks}
        unknowns = {} if self.unknowns is None else {"unknowns": dict(self.unknowns)}
        return {"split": self.split, **self.figures, **looks, **unknowns}


def views_an_image(tta: str, n: int) -> float:
    """How many views of each of `n` images `tta` takes on average.

    Example:
        >>> views_an_image("flip", 10_000), views_an_image("selective", 10_000)
        (2.0, 2.25)
    """
    if tta != "selective":
        return float(len(VIEWS[tta]))
    return 1 + (len(VIEWS["shift"]) - 1) * math.ceil(UNSURE * n) / n
