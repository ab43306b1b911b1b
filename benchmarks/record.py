"""Make a record, the evidence behind a figure, of finished and evaluated runs of one recipe.

    python benchmarks/record.py records/tutorial_cnn runs/tutorial_cnn-1 runs/tutorial_cnn-2 …

Writes ``record.json`` and each run's ``result.json``, ``history.csv``, ``recipe.json``,
``environment.json``, and ``robustness.json`` where it was measured. The README beside them, which
says what was tried, is written by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from cifarlab.files import write_json
from cifarlab.metrics import mean_interval
from cifarlab.recipes import Recipe, get_recipe, recipe_names
from cifarlab.run import Run

# Fields that change nothing of a run that took all of its recipe's epochs, in batches of its size:
# older runs lack them or have them in other words.
WITHOUT_EFFECT = ("least_steps", "least_batch", "summary")
KEPT = ("result.json", "history.csv", "recipe.json", "environment.json")
ROBUSTNESS = "robustness.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, help="folder to write, such as records/tutorial_cnn")
    parser.add_argument("runs", type=Path, nargs="+")
    arguments = parser.parse_args()
    runs = [Run(path) for path in arguments.runs]
    record = summarize(arguments.record.name, runs)
    for run in runs:
        folder = arguments.record / f"seed-{run.result['seed']}"
        folder.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(run.path / name, folder / name)
        if (run.path / ROBUSTNESS).exists():
            shutil.copyfile(run.path / ROBUSTNESS, folder / ROBUSTNESS)
    write_json(arguments.record / "record.json", record)
    print(json.dumps(record, indent=2))


def refuse_other_recipe(run: Run) -> None:
    """Stop where the command that a record gives would train something else than `run`."""
    recipe = Recipe.from_json(run.recipe)
    stock = get_recipe(recipe.name) if recipe.name in recipe_names() else None
    # The command says the epochs, and so puts an end to least_steps.
    said = {name: getattr(recipe, name) for name in ("epochs", *WITHOUT_EFFECT)}
    if stock is None or recipe != dataclasses.replace(stock, **said):
        sys.exit(f"{run.path}: its recipe is not, or no longer, the recipe called {recipe.name}")
    batch = run.result.get("batch_size", recipe.batch_size)
    if run.result["epochs_run"] > recipe.epochs or batch < recipe.batch_size:
        sys.exit(
            f"{run.path}: least_steps made more epochs of it than its recipe's {recipe.epochs}, or "
            f"smaller batches than its {recipe.batch_size}"
        )


def decisive(recipe: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe.json that decide what such a run computes."""
    return {name: value for name, value in recipe.items() if name not in WITHOUT_EFFECT}


def robustness_looks(run: Run) -> int:
    """1 where robustness was measured on test, which is a look that finds out something else."""
    path = run.path / ROBUSTNESS
    return int(path.exists() and json.loads(path.read_text(encoding="utf-8"))["split"] == "test")


def summarize(name: str, runs: list[Run]) -> dict[str, Any]:
    """What record.json holds: mean and interval over the runs, and how to run them again."""
    results, recipe = [run.result for run in runs], runs[0].recipe
    for run, result in zip(runs, results, strict=True):
        if "accuracy" not in result:
            sys.exit(f"{run.path} has not been evaluated on test")
        if result["test_looks"] != 1 + robustness_looks(run):
            sys.exit(
                f"{run.path}: its test split was opened {result['test_looks']} times, not once"
            )
        if decisive(run.recipe) != decisive(recipe):
            sys.exit(f"{run.path} has another recipe than {runs[0].path}")
        refuse_other_recipe(run)
    environment = runs[0].environment
    mean, low, high = mean_interval([result["accuracy"] for result in results])
    seconds = [sum(result["seconds"].values()) for result in results]
    first = min(result["seed"] for result in results)
    return {
        "name": name,
        "recipe": recipe["name"],
        "dataset": results[0]["dataset"],
        "n": len(runs),
        "accuracy_mean": mean,
        # Over seeds; one run has none, and its interval over the test images is in its result.json.
        "accuracy_ci95": None if low is None else [low, high],
        "accuracy_each": [result["accuracy"] for result in results],
        "val_accuracy_each": [
            run.history[result["best_epoch"] - 1]["val_accuracy"]
            for run, result in zip(runs, results, strict=True)
        ],
        "seconds_mean": sum(seconds) / len(seconds),
        "parameters": results[0]["parameters"],
        "command": f"cifarlab train cifar10 --recipe {recipe['name']} --epochs {recipe['epochs']} "
        f"--seed {first} --runs {len(runs)}",
        "hardware": f"{environment['cpu']}, {environment['threads']} cores, "
        f"{environment['backend']}, {environment['precision']}",
        "versions": environment["versions"],
        "date": environment["date"][:10],
    }


if __name__ == "__main__":
    main()
