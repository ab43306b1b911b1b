"""How well a run's `known` tells pictures of other things from those of its classes.

Every picture is decoded, scaled and scored as `predict` does it, so that the figures are about the
answers that people get: each as all the views that the model is shown, without test-time
augmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.data.views import photograph_rule
from cifarlab.engine import predict_logits
from cifarlab.errors import RunError, UsageError
from cifarlab.run import Run
from cifarlab.unknowns.pictures import PictureSet, open_set
from cifarlab.unknowns.separation import SCORES, known_rule, known_scores, separation


def open_sets(run: Run, unknown: Mapping[str, str | Path]) -> dict[str, PictureSet]:
    """The sets of pictures that `unknown` names; what is wrong with any of them is said here.

    Args:
        run: a finished run.
        unknown: name to what `cifarlab.unknowns.pictures.open_set` takes; empty: nothing is asked.

    Raises:
        RunError: the run has no threshold.
        UsageError: a set is of the data that the run was trained on.
        DataError, ImageError: a folder cannot be read.

    Example:
        >>> import cifarlab
        >>> run = cifarlab.train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> list(open_sets(run, {"stripes and noise": "textures"}))
        ['stripes and noise']
    """
    if not unknown:
        return {}
    required_rule(run)
    data = run.data
    if data["source"] in map(str, unknown.values()):
        raise UsageError(f"{run.path} was trained on {data['source']}, which is not unknown to it")
    rule = photograph_rule(data)
    return {name: open_set(given, data["image_size"], rule) for name, given in unknown.items()}


def required_rule(run: Run) -> tuple[str, float]:
    """The run's `cifarlab.unknowns.separation.known_rule`, which has a threshold.

    Raises:
        RunError: it has none, or its result.json is damaged.
    """
    score, threshold = known_rule(run.result)
    if threshold is None:
        raise RunError(
            f"{run.path} has no threshold that says what is unknown: its training held no "
            "validation images out; train with validation to have one"
        )
    if score not in [*SCORES] or not isinstance(threshold, int | float):
        found = f"known_score {score!r} and known_threshold {threshold!r}"
        raise RunError(f"{run.path / 'result.json'} is damaged: it has {found}")
    return score, float(threshold)


def measure_unknowns(
    run: Run,
    call: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    logits: np.ndarray,
    sets: Mapping[str, PictureSet],
) -> dict[str, Any]:
    """What `cifarlab.unknowns.separation.separation` says of pictures of `sets` against `images`.

    Args:
        run: whose rule is measured.
        call: its model, as `cifarlab.engine.forward` gives it.
        images: known ones, uint8 (N, S, S, 3).
        logits: theirs as they are, float32 (N, C).
        sets: what `open_sets` gave, one or more.
    """
    score, threshold = required_rule(run)
    temperature = run.calibration("none")["temperature"]
    known = known_scores(logits, [1] * len(logits), score, temperature)
    pictures = {name: made(images) for name, made in sets.items()}
    every = [views for some in pictures.values() for views in some]
    found = predict_logits(call, np.concatenate(every))
    scores = known_scores(found, [len(views) for views in every], score, temperature)
    ends = np.cumsum([len(some) for some in pictures.values()])[:-1]
    unknown = dict(zip(pictures, np.split(scores, ends), strict=True))
    return separation(known, unknown, score, threshold)
