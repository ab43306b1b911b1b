"""What ``cifarlab train`` does for each seed: train, measure once on test, report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cifarlab.cli import console
from cifarlab.cli.display import training_display
from cifarlab.data import Dataset, load_dataset
from cifarlab.errors import DataNotFoundError, RunError, UsageError
from cifarlab.evaluate import evaluate
from cifarlab.explain import keep_maps
from cifarlab.prepare import SPLIT_SEED, load_again
from cifarlab.recipes import Recipe, get_recipe, replace_fields
from cifarlab.run import Run
from cifarlab.train import own_recipe, resume, train


def load_or_fall_back(source: str, fallback: str | None, recipe: Recipe) -> Dataset:
    """The dataset `source`, or `fallback` where that is neither on this machine nor reachable."""
    try:
        return load_dataset(source, image_size=recipe.image_size)
    except DataNotFoundError as error:
        if fallback is None:
            raise
        reason = f"{error}\ntraining on {fallback} instead"
        console.err.print(reason, markup=False, highlight=False, soft_wrap=True)
        return load_dataset(fallback, image_size=recipe.image_size)


def train_seeds(
    data: Dataset, recipe: Recipe, seeds: range, out: Path | None, split: str, *, tensorboard: bool
) -> list[dict[str, Any]]:
    """One run a seed, in `out`, or for several seeds in folders within it; the result of each.

    Raises:
        UsageError: `split` is ``"val"`` and there will be no validation images.
    """
    if split == "val" and not len(data.carve(recipe.validation, SPLIT_SEED)[1]):
        raise UsageError("--no-test measures on validation, and there is none: add --val 0.1")
    console.say(*data.notes)
    results = []
    for seed in seeds:
        folder = out / f"{recipe.name}-seed{seed}" if out and len(seeds) > 1 else out
        with training_display() as display:
            run = train(
                data, recipe, seed=seed, out=folder, display=display, tensorboard=tensorboard
            )
        results.append(finish(run, data, split))
    return results


def go_on(
    path: Path,
    recipe: str | None,
    changes: Mapping[str, str],
    seed: int | None,
    source: str | None,
    split: str,
) -> dict[str, Any]:
    """Go on with the run at `path`, which must be the one that the other words ask for.

    Raises:
        RunError: it was started with another recipe or seed; names the difference.
    """
    run = Run(path)
    own = own_recipe(run)
    asked = replace_fields(get_recipe(recipe) if recipe else own, changes).to_json()
    asked["seed"] = run.result["seed"] if seed is None else seed
    then = {**own.to_json(), "seed": run.result["seed"]}
    for name, value in asked.items():
        if value != then[name] and name != "summary":  # words decide nothing
            raise RunError(
                f"{path} was started with {name} {then[name]}, not {value}; "
                "leave it out to go on, or train anew without --resume"
            )
    data = load_again(run, source)
    with training_display() as display:
        run = resume(run, data=data, display=display)
    return finish(run, data, split)


def finish(run: Run, data: Dataset, split: str) -> dict[str, Any]:
    """Measure a trained run on `split`, once on test, and report; its result with its folder."""
    figures = {}
    if split != "test":
        figures = evaluate(run, data=data, split="val").to_json()
    elif "accuracy" not in run.result:
        evaluate(run, data=data)
    keep_maps(run, split)
    from cifarlab.report import write_report  # loads matplotlib, a second that can wait until here

    write_report(run)
    return {"run": str(run.path), **run.result, **figures}
