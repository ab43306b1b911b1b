"""Every figure of one split at once: what ``result.json`` says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.metrics.accuracy import (
    balanced_accuracy,
    confusion_matrix,
    most_confused,
    per_class,
    top_k_accuracy,
)
from cifarlab.metrics.calibration import expected_calibration_error, reliability
from cifarlab.metrics.checks import checked
from cifarlab.metrics.intervals import balanced_accuracy_interval, wilson_interval
from cifarlab.metrics.probability import brier_score, log_loss
from cifarlab.metrics.ranking import average_precision, roc_auc
from cifarlab.metrics.selective import area_under_risk_coverage

TOP_K = (2, 3, 5)


def summarize(
    logits: ArrayLike, labels: ArrayLike, class_names: Sequence[str], temperature: float = 1.0
) -> dict[str, Any]:
    """Everything that ``result.json`` says of one split, ready for JSON.

    Computed here alone, so that no two places can disagree. What cannot be measured is None: the
    area of a class without rows, k of ``top_k_accuracy`` that is not less than the classes.

    Args:
        logits: as the model gives them, float (N, C).
        labels: int (N,).
        class_names: C.
        temperature: by which the logits are divided first, as fitted on validation.

    Returns:
        ``n``, ``temperature``; ``accuracy``, ``balanced_accuracy``, each with ``…_ci95``;
        ``top_k_accuracy`` (k as text -> share), ``per_class``, ``confusion_matrix``,
        ``most_confused``; ``loss``, ``brier_score``, ``ece``, ``ece_equal_mass``, ``reliability``
        (the bins of ``ece``); ``loss_uncalibrated`` and ``ece_uncalibrated``, at temperature 1;
        ``roc_auc`` and ``average_precision`` (class name -> area); ``aurc``.

    Example:
        >>> figures = summarize([[2.0, 1.0], [0.0, 3.0]], [0, 0], ["cat", "dog"])
        >>> figures["n"], figures["accuracy"], figures["confusion_matrix"]
        (2, 0.5, [[1, 1], [0, 0]])
    """
    logits, labels = checked(logits, labels)
    if logits.shape[1] != len(class_names):
        raise CifarlabError(
            f"logits have {logits.shape[1]} columns but there are {len(class_names)} class names"
        )
    if not 0 < temperature < np.inf:
        raise CifarlabError(f"temperature must be above 0 and finite. Received: {temperature}")
    scaled = logits / temperature
    answers = _answers(logits, labels, class_names)
    return {"n": len(labels), **answers, **_certainty(scaled, labels, class_names)} | {
        "temperature": float(temperature),
        "loss_uncalibrated": log_loss(logits, labels),
        "ece_uncalibrated": expected_calibration_error(logits, labels),
    }


def _answers(
    logits: NDArray[np.float64], labels: NDArray[np.int64], class_names: Sequence[str]
) -> dict[str, Any]:
    """Figures of what is answered, which no temperature changes."""
    classes, predictions = len(class_names), logits.argmax(axis=1)
    matrix = confusion_matrix(labels, predictions, classes)
    right, support = matrix.diagonal(), matrix.sum(axis=1)
    return {
        "accuracy": int(right.sum()) / len(labels),
        "accuracy_ci95": list(wilson_interval(int(right.sum()), len(labels))),
        "balanced_accuracy": balanced_accuracy(logits, labels),
        "balanced_accuracy_ci95": list(balanced_accuracy_interval(right, support)),
        "top_k_accuracy": {
            str(k): top_k_accuracy(logits, labels, k) if k < classes else None for k in TOP_K
        },
        "per_class": per_class(labels, predictions, class_names),
        "confusion_matrix": matrix.tolist(),
        "most_confused": [
            mistake._asdict()
            | {"true": class_names[mistake.true], "predicted": class_names[mistake.predicted]}
            for mistake in most_confused(matrix)
        ],
    }


def _certainty(
    logits: NDArray[np.float64], labels: NDArray[np.int64], class_names: Sequence[str]
) -> dict[str, Any]:
    """Figures of how sure the answers are."""
    diagram = reliability(logits, labels)
    return {
        "loss": log_loss(logits, labels),
        "brier_score": brier_score(logits, labels),
        "ece": diagram.error,
        "ece_equal_mass": expected_calibration_error(logits, labels, binning="equal-mass"),
        "reliability": diagram.to_json(),
        "roc_auc": _by_class(roc_auc(logits, labels), class_names),
        "average_precision": _by_class(average_precision(logits, labels), class_names),
        "aurc": area_under_risk_coverage(logits, labels),
    }


def _by_class(values: NDArray[np.float64], class_names: Sequence[str]) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(class_names, values, strict=True)
    }
