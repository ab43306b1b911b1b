"""``cifarlab train``: train, measure once on test or on validation, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cifarlab.cli.console import Json, emit, next_steps, say, table
from cifarlab.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(train)


def train(
    data: Annotated[
        str | None,
        typer.Argument(help="cifar10, digits, or a path; cifar10 by default.", show_default=False),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Recipe or recipe.json; quick by default."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a field of the recipe."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all that is random; 0.")] = None,
    runs: Annotated[int, typer.Option(min=1, help="How many, with one seed more each.")] = 1,
    val: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Of train, held out for validation.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(metavar="DATA", help="Train on this where DATA is not at hand.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="tensorflow (the default) or jax.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option(help="Write logs for TensorBoard.")] = False,
    test: Annotated[bool, typer.Option(help="Open test at the end, else only validation.")] = True,
    json: Json = False,
) -> None:
    """Train a classifier, measure it once on test, report."""
    split = "test" if test else "val"
    if resume and (runs > 1 or out or fallback or tensorboard):
        raise UsageError(
            "--resume goes on as the run began: leave out --runs, --out, --fallback and "
            "--tensorboard"
        )
    from cifarlab import backend as backends
    from cifarlab.run import Run

    backends.load(backend or (Run(resume).environment["backend"] if resume else None))
    from cifarlab.cli import job  # imports Keras
    from cifarlab.prepare import require_effect
    from cifarlab.recipes import get_recipe, replace_fields

    changes = _settings(settings, epochs=epochs, validation=val)
    if resume:
        results = [job.go_on(resume, recipe, changes, seed, data, split)]
    else:
        chosen = replace_fields(get_recipe(recipe or "quick"), changes)
        dataset = job.load_or_fall_back(data or "cifar10", fallback, chosen)
        require_effect(dataset, chosen.validation if "validation" in changes else None)
        seeds = range(seed or 0, (seed or 0) + runs)
        results = job.train_seeds(dataset, chosen, seeds, out, split, tensorboard=tensorboard)
    _show(results)
    if json:
        emit(results[0] if len(results) == 1 else results)


def _settings(items: list[str] | None, **options: float | None) -> dict[str, str]:
    """``KEY=VALUE`` words, and options of the fields' names, as a mapping."""
    changes = {name: str(value) for name, value in options.items() if value is not None}
    for item in items or []:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, such as --set epochs=3. Received: {item!r}")
        if key in changes:
            raise UsageError(f"{key} is set twice, to {changes[key]} and {value}; set it once")
        changes[key] = value
    return changes


def _show(results: list[dict[str, Any]]) -> None:
    """Figures for people, and what to do next."""
    from cifarlab.metrics import mean_interval

    say("")
    rows = [
        [
            r["run"],
            f"{r['accuracy']:.2%}",
            _interval(r["accuracy_ci95"]),
            f"{r['loss']:.4f}",
            r["n"],
        ]
        for r in results
    ]
    split = {"test": "test", "val": "validation"}[results[0]["split"]]
    table(["run", f"{split} accuracy", "95 % interval", f"{split} loss", "images"], rows)
    if len(results) > 1:
        mean, low, high = mean_interval([r["accuracy"] for r in results], within=(0, 1))
        say(f"\n{len(results)} seeds: mean {mean:.2%}, 95 % interval {_interval((low, high))}")
    for warning in filter(None, map(_no_better_than_guessing, results)):
        say(f"\nwarning: {warning}")
    run = results[0]["run"]
    say(f"\nReport: {Path(run) / 'report.html'}")
    next_steps([["cifarlab", "predict", "photo.jpg", "--model", run], ["cifarlab", "report", run]])


def _no_better_than_guessing(result: dict[str, Any]) -> str | None:
    """Said where the interval of the accuracy reaches down to the share of the largest class."""
    supports = {name: figures["support"] for name, figures in result["per_class"].items()}
    largest = max(supports, key=lambda name: supports[name])
    share = supports[largest] / result["n"]
    if result["accuracy_ci95"][0] > share:
        return None
    return (
        f"{result['run']} may have learned nothing: always answering {largest!r} has {share:.2%} "
        "right; train for longer (--epochs) or with another recipe, such as regularized_cnn"
    )


def _interval(bounds: Any) -> str:
    return " to ".join(f"{bound:.2%}" for bound in bounds)
