"""What a run folder says, gathered once: the only place of the report that reads a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics
from cifarlab.errors import RunError
from cifarlab.run import Run

FIGURES = ("n", "accuracy", "accuracy_ci95", "loss", "ece", "per_class", "confusion_matrix")
# What `evaluate` says besides; runs of before these figures were there lack them.
FURTHER = (
    *("balanced_accuracy", "balanced_accuracy_ci95", "top_k_accuracy", "brier_score", "aurc"),
    *("temperature", "ece_uncalibrated", "reliability", "roc_auc", "average_precision"),
)
# What the files of `cifarlab robustness`, `evaluate --unknown` and `audit` hold at least.
ROBUSTNESS = ("split", "n", "severities", "clean", "mean_corruption_accuracy", "corruptions")
UNKNOWNS = ("split", "score", "threshold", "known", "sets", "histogram")
AUDIT = ("images", "counts", "findings", "leaked", "balance")
SPLITS = {"test": "test", "val": "validation", "train": "training"}  # as options -> in words


@dataclass(frozen=True)
class Facts:
    """A run's files as plain values, and its figures; absent ones are None or empty."""

    path: Path
    name: str
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    result: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    predictions: Mapping[str, NDArray[Any]] | None
    figures: Mapping[str, Any]  # empty: not evaluated yet
    robustness: Mapping[str, Any] | None = None  # robustness.json
    unknowns: Mapping[str, Any] | None = None  # unknowns.json
    audit: Mapping[str, Any] | None = None  # audit.json

    @property
    def class_names(self) -> list[str]:
        """The classes in the order of their labels."""
        return [str(name) for name in self.data["class_names"]]

    @property
    def measured(self) -> str:
        """The split that figures are of, as an option of `evaluate`."""
        return _measured(self.result, self.counts)

    @property
    def split(self) -> str:
        """The same in words: ``"test"``, ``"validation"`` or ``"training"``."""
        return SPLITS.get(self.measured, self.measured)

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return str(self.data.get("name") or self.result.get("dataset") or "unnamed data")

    @property
    def counts(self) -> Mapping[str, int]:
        """Images by split."""
        return self.data.get("counts") or {}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase, in order, of the phases that were."""
        recorded = self.result.get("seconds") or {}
        return {phase: float(value) for phase, value in recorded.items() if value is not None}

    @property
    def temperature(self) -> float:
        """By which the kept logits are divided: fitted on validation, 1 where nothing was."""
        return float((self.predictions or {}).get("temperature", 1.0))

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """Calibrated logits, float64 (N, C); only where there are predictions."""
        if self.predictions is None:
            raise RunError(f"{self.path} has no predictions of the {self.split} split")
        return self.predictions["logits"].astype(np.float64) / self.temperature

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix, int64 (C, C), rows true; only where there are figures."""
        return np.asarray(self.figures["confusion_matrix"], np.int64)

    @cached_property
    def epochs(self) -> dict[int, Mapping[str, Any]]:
        """The history by epoch number."""
        return {int(row["epoch"]): row for row in self.history}


def read_facts(run: Run) -> Facts:
    """Gather a run; one not evaluated, or still in training, has fewer facts.

    Raises:
        RunError: a file of the run is damaged, or its files do not fit each other.
    """
    folder = Path(run.path)
    if not run.data.get("class_names"):
        raise RunError(f"{folder / 'data.json'} names no classes; is {folder} a run folder?")
    result = run.result
    split = _measured(result, run.data.get("counts") or {})
    evaluated = (folder / f"predictions-{split}.npz").exists()
    predictions = run.predictions(split) if evaluated else None
    if predictions is not None and "tta" in predictions:
        result.setdefault("tta", str(predictions["tta"]))
    return Facts(
        path=folder,
        name=run.name,
        recipe=run.recipe,
        data=run.data,
        environment=run.environment,
        result=result,
        history=run.history,
        predictions=predictions,
        figures=_figures(folder, result, predictions, run.data["class_names"]),
        robustness=_findings(folder / "robustness.json", ROBUSTNESS),
        unknowns=_findings(folder / "unknowns.json", UNKNOWNS),
        audit=_findings(folder / "audit.json", AUDIT),
    )


def _measured(result: Mapping[str, Any], counts: Mapping[str, int]) -> str:
    """The split that was evaluated; before that test, or what there is in its place."""
    if result.get("split"):
        return str(result["split"])
    if counts.get("test", 1):
        return "test"
    return "val" if counts.get("validation") else "train"


def _findings(path: Path, parts: Sequence[str]) -> Mapping[str, Any] | None:
    """What a further command left in the run; None where it has not been run."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        lacking = [part for part in parts if part not in found]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if lacking or not isinstance(found, dict):
        raise RunError(f"{path} is damaged: it has no {', '.join(lacking) or 'JSON object'}")
    return found


def _figures(
    folder: Path,
    result: Mapping[str, Any],
    predictions: Mapping[str, NDArray[Any]] | None,
    class_names: Sequence[str],
) -> dict[str, Any]:
    """What `result.json` says; what it lacks is computed as `evaluate` computes it."""
    every = (*FIGURES, *FURTHER)
    stated = {key: result[key] for key in every if result.get(key) is not None}
    if len(stated) == len(every):
        return stated
    if predictions is not None:
        temperature = float(predictions.get("temperature", 1.0))
        computed = metrics.summarize(
            predictions["logits"], predictions["labels"], class_names, temperature
        )
        return computed | stated
    if all(key in stated for key in FIGURES):
        return stated
    if "accuracy" in stated:
        lacking = ", ".join(key for key in FIGURES if key not in stated)
        raise RunError(
            f"{folder / 'result.json'} has an accuracy but not {lacking}; "
            f"run cifarlab evaluate {folder} again"
        )
    return {}
