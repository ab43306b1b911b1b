"""From the first lesson to an ensemble, a change at a time: what each is worth, measured.

    rungs.py      what is changed, and why        answering.py   trained, measured, kept
    figures.py    what a rung is worth and costs

A ladder is a folder: any stop, kill included, is gone on from by the same call, and what is done
is not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras

from cifarlab.answers import Answers
from cifarlab.data import Dataset, load_dataset
from cifarlab.errors import DataError, UnknownNameError, UsageError
from cifarlab.files import write_json
from cifarlab.ladder.answering import Displays, Site, answer, read, together
from cifarlab.ladder.figures import class_gains, cost, gain, quality
from cifarlab.ladder.rungs import ASIDE, RUNGS, Rung, faster
from cifarlab.prepare import SPLIT_SEED
from cifarlab.run import Run

__all__ = ["ASIDE", "RUNGS", "Rung", "climb", "faster"]


def climb(
    data: Dataset | str | Path = "cifar10",
    out: str | Path | None = None,
    *,
    runs: int = 3,
    rungs: Sequence[Rung] = RUNGS,
    aside: Sequence[Rung] = (),
    split: str = "test",
    displays: Displays = nullcontext,
) -> dict[str, Any]:
    """Train and measure every rung with `runs` seeds; go on where an earlier call stopped.

    Seeds go round: the whole ladder stands once before it is built a second time. Each model is
    measured once by each rung that it belongs to, and nothing is chosen by what comes out.

    Args:
        data: a dataset or what `load_dataset` takes.
        out: the ladder's folder, ``runs/ladder-<dataset>`` by default; ``ladder.json`` in it is
            what is returned.
        runs: seeds, 1 or more; two are the least for an ensemble, which is left out of one.
        rungs: from the bottom up; each compared with the one named as its ``below``.
        aside: further ones, each beside the rung that it is derived from.
        split: ``"test"``, or ``"val"`` for those who are still choosing.
        displays: makes what is told how each training goes.

    Returns:
        ``dataset``, ``split``, ``runs``, ``class_names``, ``environment`` of the first run,
        ``rungs`` and ``aside``: for each rung its ``name``, ``change``, ``why``, ``kind``,
        ``below``, ``recipe``, the figures of `figures.quality` and `figures.cost`, ``runs``
        (folders), and ``gain`` (`figures.gain`; None of the first); ``classes``, from the
        first rung to the last (`figures.class_gains`).

    Raises:
        UsageError: no runs, or a rung that is derived from none of the others.
        RunError: what is in the folder is of other recipes or other data; names the difference.
        DataError: the data has no such split.

    Example:
        >>> from cifarlab.recipes import get_recipe, replace_fields
        >>> short = replace_fields(get_recipe("debug"), {"epochs": "1"})
        >>> rung = Rung(name="only", change="", why="", recipe=short)
        >>> found = climb("digits", tmp_path / "ladder", runs=1, rungs=[rung])
        >>> [(each["name"], each["n"], each["gain"]) for each in found["rungs"]]
        [('only', 1, None)]
    """
    every = [*rungs, *aside]
    _check(every, runs)
    if not isinstance(data, Dataset):
        data = load_dataset(data, image_size=every[0].recipe.image_size)
    _check_split(data, split, every[0].recipe.validation)
    folder = Path("runs") / f"ladder-{data.name}" if out is None else Path(out)
    site = Site(data, split, folder, displays, _taken(every))
    built = [rung for rung in every if rung.kind != "ensemble"]
    for seed in range(runs):
        for rung in built:
            answer(site, rung, seed)
            keras.utils.clear_session()  # what was compiled for a rung is of no use to the next
    found = _measured(site, rungs, aside, runs)
    write_json(folder / "ladder.json", found)
    return found


def _check(every: Sequence[Rung], runs: int) -> None:
    if runs < 1 or not every:
        raise UsageError(f"a ladder needs a rung and a run or more. Received: {runs} runs")
    names: list[str] = []
    for rung in every:
        if rung.name in names:
            raise UsageError(f"two rungs have the name {rung.name}")
        if rung.below is not None and rung.below not in names:
            raise UsageError(f"{rung.name} is derived from {rung.below}, which is not below it")
        names.append(rung.name)


def _check_split(data: Dataset, split: str, validation: float) -> None:
    if split not in ("test", "val"):
        raise UnknownNameError("split", split, ("test", "val"))
    if split == "test" and not data.has_test:
        raise DataError(f"{data.name} has no test split; measure on validation: --no-test")
    if split == "val" and not len(data.carve(validation, SPLIT_SEED)[1]):
        raise DataError(f"{data.name} and these recipes hold no validation images out")


def _taken(every: Sequence[Rung]) -> dict[str, str]:
    """Name of each rung of views to that of the rung whose runs it looks with."""
    taken: dict[str, str] = {}
    for rung in every:
        if rung.kind == "views" and rung.below is not None:
            taken[rung.name] = taken.get(rung.below, rung.below)
    return taken


def _measured(
    site: Site, rungs: Sequence[Rung], aside: Sequence[Rung], runs: int
) -> dict[str, Any]:
    """Every figure, from what was kept."""
    answers: dict[str, list[Answers]] = {}
    trained: dict[str, list[Run]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for rung in [*rungs, *aside]:
        if rung.kind == "ensemble" and runs < 2:
            continue
        if rung.kind == "ensemble" and rung.below is not None:
            answers[rung.name] = [read(site, together(site, rung, answers[rung.below]))]
            trained[rung.name] = trained[rung.below]
        else:
            paths = [site.answers(rung, seed) for seed in range(runs)]
            answers[rung.name] = [read(site, path) for path in paths]
            trained[rung.name] = [Run(site.run(rung, seed)) for seed in range(runs)]
        rows[rung.name] = _row(rung, answers, trained[rung.name], site.data.class_names)
    ends = [answers[rung.name] for rung in rungs if rung.name in rows]
    return {
        "dataset": site.data.name,
        "split": site.split,
        "runs": runs,
        "class_names": list(site.data.class_names),
        "environment": dict(trained[rungs[0].name][0].environment),
        "rungs": [rows[rung.name] for rung in rungs if rung.name in rows],
        "aside": [rows[rung.name] for rung in aside if rung.name in rows],
        "classes": class_gains(ends[0], ends[-1], site.data.class_names),
    }


def _row(
    rung: Rung, answers: dict[str, list[Answers]], runs: list[Run], class_names: tuple[str, ...]
) -> dict[str, Any]:
    members = answers[rung.name]
    below = answers.get(rung.below) if rung.below is not None else None
    return {
        "name": rung.name,
        "change": rung.change,
        "why": rung.why,
        "kind": rung.kind,
        "below": rung.below,
        "recipe": rung.recipe.to_json(),
        **quality(members, class_names),
        **cost(runs, rung),
        "runs": [str(run.path) for run in runs],
        "gain": None if below is None else gain(below, members, rung, class_names),
    }
