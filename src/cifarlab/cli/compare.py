"""Is B better than A: ``cifarlab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifarlab.cli.console import Json, emit, next_steps, say, table

if TYPE_CHECKING:
    from cifarlab.compare import Comparison, Pair

SURE = 0.05  # a class is marked from here on


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(compare)


def compare(
    contestants: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...",
            help="Each a run folder, a file of predictions (.npz, .npy, .csv, .txt), or several "
            "seeds of a recipe as RUN,RUN,RUN. The others are set against the first.",
        ),
    ],
    split: Annotated[str, typer.Option(help="test, val or train; each evaluated there.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For every figure, what flipped (CSV, pictures), where seeds agree, and curves.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Is B better than A? Paired tests on the same images."""
    from cifarlab.compare import compare
    from cifarlab.compare.folder import write_comparison

    found = compare(*map(_sources, contestants), split=split)
    _show(found)
    written = write_comparison(found, out) if out else []
    if written:
        _show_written(found, written)
    runs = [m.source for each in found.contestants for m in each.members if m.run is not None]
    if runs and not found.pairs[0].seeds:
        say("\nThis is about these trained models; about recipes it takes several runs of each.")
    if len(runs) > 1:
        next_steps([["cifarlab", "report", *map(str, runs)]])
    if json:
        emit(found.to_json() | {"files": [str(path) for path in written]})


def _sources(word: str) -> str | list[str]:
    """One, or those between commas; a path that is there may hold commas itself."""
    return word if "," not in word or Path(word).exists() else word.split(",")


def _show(found: Comparison) -> None:
    """Quality beside cost, then each pair."""
    described = [contestant.to_json() for contestant in found.contestants]
    columns = ["", "accuracy", "95 % interval", "log loss", "ECE", "training", "parameters"]
    columns += ["images/s", "seed"]
    rows = [_row(member) for each in described for member in each["members"]]
    table(columns, rows, title=f"{found.n:,} {found.split} images, {len(rows)} models")
    for each in described:
        if "accuracy_mean" in each:
            _show_seeds(each)
    for warning in found.warnings:
        say(f"\nwarning: {warning}")
    for pair in found.pairs:
        _show_pair(pair, found.split)


def _show_seeds(described: dict[str, Any]) -> None:
    """Of several seeds: mean and spread of the accuracy, and how far they agree on the images."""
    low, high = described["accuracy_mean_ci95"]
    spread = described["accuracy_spread"]
    none, *some, every = described["images_by_runs_right"]
    say(
        f"{described['name']}: mean {_percent(described['accuracy_mean'])} (95 % interval "
        f"{_percent(low)} to {_percent(high)}), standard deviation "
        f"{100 * spread['deviation']:.2f} points, lowest {_percent(spread['minimum'])}, "
        f"highest {_percent(spread['maximum'])}",
        f"  two runs agree on {_percent(described['agreement'])} of the images, all on all but "
        f"{described['disputed']:,}; {every:,} images right in every run, {sum(some):,} in some, "
        f"{none:,} in none",
    )


def _row(member: dict[str, Any]) -> list[str | None]:
    low, high = member["accuracy_ci95"]
    seconds, speed = member["train_seconds"], member["images_per_second"]
    return [
        member["name"],
        _percent(member["accuracy"]),
        f"{_percent(low)} to {_percent(high)}",
        None if member["loss"] is None else f"{member['loss']:.4f}",
        None if member["ece"] is None else _percent(member["ece"]),
        None if seconds is None else f"{seconds:,.0f} s",
        None if member["parameters"] is None else f"{member['parameters']:,}",
        None if speed is None else f"{speed:,.0f}",
        None if member["seed"] is None else str(member["seed"]),
    ]


def _show_pair(pair: Pair, split: str) -> None:
    most = "most runs of " if pair.seeds else ""
    say(
        f"\n{pair.sentence(split)}",
        f"right in {most}{pair.b.name} alone: {len(pair.only_b):,} images; "
        f"in {most}{pair.a.name} alone: {len(pair.only_a):,}; "
        f"same answer: {_percent(pair.agreement)}",
    )
    if pair.seeds:
        return
    rows = [
        [
            *(name, _percent(f["recall_a"]), _percent(f["recall_b"])),
            f"{100 * f['difference']:.1f}",
            *(f"{f['p_value']:.3f}", f"{f['p_holm']:.3f}", "*" if f["p_holm"] <= SURE else ""),
        ]
        for name, f in pair.classes.items()
        if f["support"]
    ]
    say("")
    table(["recall", pair.a.name, pair.b.name, "points", "p", "p (Holm)", ""], rows)


def _show_written(found: Comparison, written: list[Path]) -> None:
    from cifarlab.compare.curves import histories

    say("\nWritten:", *(f"  {path}" for path in written))
    lacking = [name for name, history in histories(found).items() if not history]
    if lacking:
        say(f"No learning curve of {', '.join(lacking)}: no history was kept.")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
