"""The figures of a rung, and how much it adds to the one below."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from cifarlab import metrics
from cifarlab.answers import Answers
from cifarlab.compare import Contestant, against_first
from cifarlab.evaluate import UNSURE, VIEWS
from cifarlab.ladder.rungs import Rung
from cifarlab.models import create_model, multiply_adds, training_operations
from cifarlab.recipes import Recipe
from cifarlab.run import Run


def quality(members: Sequence[Answers], class_names: Sequence[str]) -> dict[str, Any]:
    """Accuracy and recalls of a rung's models, their means over seeds.

    Returns:
        ``n`` models, ``images``, ``accuracy_each``, ``accuracy_mean``; ``accuracy_ci95`` over
        ``ci_over``: of the mean over ``"seeds"`` (Student's t), or for one model over ``"images"``
        (Wilson); ``recall``, class name to mean recall.
    """
    right = np.stack([member.right for member in members])  # (S, N)
    each = right.mean(axis=1).tolist()
    mean, low, high = metrics.mean_interval(each, within=(0, 1))
    if low is None or high is None:
        low, high = metrics.wilson_interval(int(right.sum()), right.shape[1])
    labels = np.asarray(members[0].labels)
    recalls = {
        name: float(right[:, labels == c].mean()) if (labels == c).any() else None
        for c, name in enumerate(class_names)
    }
    return {
        "n": len(members),
        "images": right.shape[1],
        "accuracy_each": each,
        "accuracy_mean": mean,
        "accuracy_ci95": [low, high],
        "ci_over": "seeds" if len(members) > 1 else "images",
        "recall": recalls,
    }


def cost(runs: Sequence[Run], rung: Rung) -> dict[str, Any]:
    """What a rung costs: to train once, and to answer one image.

    Returns:
        ``seconds_mean`` of set-up, compilation and training, ``epochs``, ``parameters``,
        ``training_operations`` (floating-point, forward and backward), ``multiply_adds`` of one
        answer, all views and models counted. An ensemble's training is that of all its models.
    """
    results = [run.result for run in runs]
    recipe, models = rung.recipe, len(runs) if rung.kind == "ensemble" else 1
    epochs = float(np.mean([result["epochs_run"] for result in results]))
    forward = _forward(recipe, len(runs[0].data["class_names"]))
    images = epochs * runs[0].data["counts"]["train"] * _size_factor(recipe)
    seconds = [sum(r["seconds"][key] for key in ("setup", "compile", "train")) for r in results]
    return {
        "seconds_mean": models * float(np.mean(seconds)),
        "epochs": epochs,
        "parameters": models * results[0]["parameters"],
        "training_operations": models * training_operations(forward, images),
        "multiply_adds": round(models * _views(recipe.tta) * forward),
    }


def gain(
    below: Sequence[Answers], members: Sequence[Answers], rung: Rung, class_names: Sequence[str]
) -> dict[str, Any]:
    """How much more accurate a rung is than the one below, on the same images.

    Returns:
        ``difference`` of the accuracies and its 95 % ``interval``, both in [-1, 1], and ``method``:
        ``"welch"`` over the seeds of both; ``"seeds"``, the difference within each seed, where the
        training is the same; ``"images"``, the difference from the mean member on each
        image, of an ensemble; ``"bootstrap"`` over images, of one model each. The first two ask
        what other seeds would give, the last two what other images would.
        ``interval_images`` asks the latter of all of them: Student's t over the images, of how
        much larger a share of the models has each right. ``measurable``: whether 0 lies outside
        both intervals.
    """
    first, second = (
        Contestant(name, tuple(each), tuple(class_names))
        for name, each in (("below", below), ("this", members))
    )
    more_right = (second.share_right - first.share_right).tolist()
    over_images = metrics.mean_interval(more_right, within=(-1, 1))
    if rung.kind == "ensemble":
        method, found = "images", over_images
    elif (rung.paired or rung.kind == "views") and len(members) > 1:
        method = "seeds"
        differences = np.subtract(second.accuracies, first.accuracies).tolist()
        found = metrics.mean_interval(differences, within=(-1, 1))
    else:
        method = "welch" if len(members) > 1 else "bootstrap"
        labels = members[0].labels
        (pair,) = against_first([first, second], labels)  # type: ignore[arg-type]
        found = pair.interval
    difference, *interval = (float(value or 0.0) for value in found)
    images = [float(value or 0.0) for value in over_images[1:]]
    if method == "bootstrap":
        images = interval  # the same question, answered once
    return {
        "difference": difference,
        "interval": interval,
        "interval_images": images,
        "measurable": all(low > 0 or high < 0 for low, high in (interval, images)),
        "method": method,
    }


def class_gains(
    first: Sequence[Answers], last: Sequence[Answers], class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """How much more of each class's images the models of the last rung find than the first's.

    Returns:
        By name of each class that has two images or more: ``images``, ``first`` and ``last``, the
        mean recalls, their ``difference``, and its 95 % ``interval`` (Student's t over images).
    """
    before, after = (np.mean([each.right for each in members], axis=0) for members in (first, last))
    labels = np.asarray(first[0].labels)
    found: dict[str, dict[str, Any]] = {}
    for c, name in enumerate(class_names):
        rows = labels == c
        if rows.sum() < 2:
            continue
        more_found = (after[rows] - before[rows]).tolist()
        difference, *interval = metrics.mean_interval(more_found, within=(-1, 1))
        found[name] = {
            "images": int(rows.sum()),
            "first": float(before[rows].mean()),
            "last": float(after[rows].mean()),
            "difference": difference,
            "interval": interval,
        }
    return found


@cache
def _forward(recipe: Recipe, num_classes: int) -> int:
    """Multiply-adds of an image in a recipe's network."""
    size, options = recipe.image_size, recipe.model_options
    model = create_model(recipe.model, num_classes=num_classes, image_size=size, **options)
    return multiply_adds(model)


def _views(tta: str) -> float:
    """How many times a model looks at an image for one answer."""
    return 1 + UNSURE * (len(VIEWS["shift"]) - 1) if tta == "selective" else len(VIEWS[tta])


def _size_factor(recipe: Recipe) -> float:
    """The work of a training image over that of a whole one, as the square of its side."""
    sides = recipe.sizes or (recipe.image_size,)
    return float(np.mean([(side / recipe.image_size) ** 2 for side in sides]))
