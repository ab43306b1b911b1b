"""Evaluation: a run and a split in, figures with their intervals out.

This is where the test split is opened to be measured on, and every opening is counted. (`audit`
looks at its images without their labels, and counts that too.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cifarlab import metrics
from cifarlab.data import Dataset, Split
from cifarlab.engine import BATCH, forward, predict_logits
from cifarlab.errors import DataError, UnknownNameError
from cifarlab.evaluation import TTAS, UNSURE, VIEWS, Evaluation
from cifarlab.files import write_json
from cifarlab.known import measure_unknowns, open_sets
from cifarlab.prepare import find_data
from cifarlab.run import SPLITS, Change, Run
from cifarlab.shown import choose_shown

UNKNOWNS = "unknowns.json"


def evaluate(
    run: Run | str | Path,
    *,
    data: Dataset | str | Path | None = None,
    split: Literal["test", "val", "train"] = "test",
    tta: Literal["none", "flip", "shift", "selective"] | None = None,
    unknown: Mapping[str, str | Path] | None = None,
) -> Evaluation:
    """Measure a run's model on a split, and keep the predictions in the run.

    Every opening of the test split is counted in the run's result.json, before it happens.

    Args:
        run: a finished run.
        data: another dataset with the same class names, or where the run's own is now.
        split: which images. ``val`` and ``train`` are carved as the training carved them.
        tta: average the logits over mirrored (``flip``), or mirrored and moved (``shift``) views,
            the latter for unsure images only (``selective``); by default as the run's recipe says.
        unknown: name to pictures of other things, a folder or one of the sets of
            `cifarlab.unknowns.pictures`: how well `known` in an answer of `predict` tells them from
            the images of the split. The figures stay in ``unknowns.json``.

    Raises:
        RunError: the run is unfinished or damaged, or the data at its source has changed; or it
            has no threshold, and `unknown` was asked for.
        DataError: the data cannot be read, or lacks the split; a folder of `unknown` is not there.
        ImageError: it holds no image, or one that cannot be read.

    Example:
        >>> import cifarlab
        >>> run = cifarlab.train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> evaluation = evaluate(run)
        >>> evaluation.n, evaluation.test_looks
        (359, 1)
    """
    run = run if isinstance(run, Run) else Run(run)
    _require_one_of("split", split, SPLITS)
    tta = tta or run.recipe.get("tta", "none")
    _require_one_of("tta", tta, TTAS)
    call = forward(run.load_model())
    sets = open_sets(run, unknown or {})
    opened = open_split(run, split, data)
    images, labels, looks = opened.images, opened.labels, opened.test_looks
    predict_logits(call, images[:BATCH])  # compiles, which is no cost of any view
    began = time.perf_counter()
    plain = predict_logits(call, images)
    between = time.perf_counter()
    logits = predict_views(call, images, tta, plain)
    evaluation = Evaluation(
        *(split, logits, labels, opened.class_names, tta, looks, time.perf_counter() - began),
        **run.calibration(tta),
        plain=None if tta == "none" else plain,
        plain_seconds=between - began,
        unknowns=measure_unknowns(run, call, images, plain, sets) if sets else None,
    )
    if opened.own:
        _keep(run, evaluation, images)
    return evaluation


@dataclass(frozen=True, eq=False)
class OpenedSplit:
    """The images of a split that a run is measured on.

    Attributes:
        images: uint8 (N, S, S, 3).
        labels: int64 (N,).
        class_names: C names, in the order of the logits.
        own: whether they are of the data that the run was trained on.
        test_looks: how often this run's test split has been opened, this time included.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    own: bool
    test_looks: int


def open_split(run: Run, split: str, data: Dataset | str | Path | None = None) -> OpenedSplit:
    """Open a split to measure `run` on it; the one door to a run's test labels.

    A look at test is counted in the run's result.json before it happens. Arguments and errors are
    those of `evaluate`.
    """
    _require_one_of("split", split, SPLITS)
    dataset = find_data(run, data)
    own = dataset.fingerprint == run.data["fingerprint"]
    if split == "test" and not dataset.has_test:
        raise DataError(f"{dataset.name} has no test split; take --split val")
    looks = count_look(run) if split == "test" and own else run.result["test_looks"]
    images, labels = _open(dataset, split, run)
    return OpenedSplit(images, labels, dataset.class_names, own, looks)


def count_look(run: Run, note: str | None = None) -> int:
    """Count one more look at test in result.json, and say there what it was; how many there are."""

    def one_more(result: dict[str, Any]) -> dict[str, Any]:
        looks = {"test_looks": result["test_looks"] + 1}
        notes = [*result.get("test_look_notes", []), note]
        return looks if note is None else {**looks, "test_look_notes": notes}

    return run.update_result(one_more)["test_looks"]


def predict_views(
    call: Any, images: np.ndarray, tta: str, plain: np.ndarray | None = None
) -> np.ndarray:
    """Logits float32 (N, C) of uint8 `images` (N, S, S, 3), averaged over the views of `tta`.

    ``selective`` predicts all images once, and the quarter of them whose highest probability is
    lowest again over the six views of ``shift``: nearly all the gain of six views at little more
    than the cost of two (the idea of cifar10-speedrun, 2025).

    `plain` are the logits of the images as they are, the first view of all, where they are known.
    """
    first = predict_logits(call, images) if plain is None else plain
    if tta != "selective":
        others = [predict_logits(call, view) for view in views(images, tta)[1:]]
        return np.mean([first, *others], axis=0)
    confidence = metrics.softmax(first).max(axis=1)
    unsure = np.argsort(confidence, kind="stable")[: math.ceil(UNSURE * len(images))]
    logits = first.copy()
    logits[unsure] = predict_views(call, images[unsure], "shift", first[unsure])
    return logits


def views(images: np.ndarray, tta: str) -> list[np.ndarray]:
    """The views of uint8 `images` (N, S, S, 3) that `tta` averages over, each of that shape."""
    result = []
    for flip, dy, dx in VIEWS[tta]:
        side = images.shape[1]
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        view = padded[:, 1 + dy : 1 + dy + side, 1 + dx : 1 + dx + side]
        result.append(view[:, :, ::-1] if flip else view)
    return result


def _open(dataset: Dataset, split: str, run: Run) -> tuple[np.ndarray, np.ndarray]:
    if split == "test":
        opened = dataset.open_test()
    else:
        recipe_split: tuple[Split, Split] = dataset.carve(
            run.data["validation_fraction"], run.data["split_seed"]
        )
        opened = recipe_split[0 if split == "train" else 1]
    if not len(opened):
        raise DataError(
            f"{dataset.name}: the {split} split of {run.path} is empty; name another with --split"
        )
    return opened.images, opened.labels


def _keep(run: Run, evaluation: Evaluation, images: np.ndarray) -> None:
    """Store predictions, the images that a report shows, what was found of unknown ones, and for
    the test split the figures."""
    index, kind = choose_shown(
        evaluation.labels,
        evaluation.predictions,
        evaluation.probabilities.max(axis=1),
        run.result["seed"],
        images[0].nbytes,
    )
    run.write_predictions(
        evaluation.split,
        logits=evaluation.logits,
        labels=evaluation.labels,
        temperature=np.array(evaluation.temperature),
        tta=np.array(evaluation.tta),
        shown_index=index,
        shown_images=images[index],
        shown_kind=kind,
    )
    figures = evaluation.to_json()
    if unknowns := figures.pop("unknowns", None):
        write_json(run.path / UNKNOWNS, {"split": evaluation.split, **unknowns})
    if evaluation.split == "test":
        del figures["test_looks"]  # counted before; another command may have looked since
        run.update_result(_evaluated_in(evaluation.seconds), **figures)


def _evaluated_in(seconds: float) -> Change:
    return lambda result: {"seconds": {**result.get("seconds", {}), "evaluate": seconds}}


def _require_one_of(kind: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UnknownNameError(kind, value, choices)
