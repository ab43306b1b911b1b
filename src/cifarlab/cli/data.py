"""What is in a dataset, and where datasets are: ``cifarlab explore`` and ``cifarlab data``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifarlab.cli.console import Json, emit, next_steps, say, table

if TYPE_CHECKING:
    from cifarlab.explore import Exploration


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(explore)
    app.command()(data)


def explore(
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="cifar10, digits, or a path.")
    ] = "cifar10",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw plots into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Look at a dataset: counts, colours, duplicates, odd sizes."""
    from cifarlab.explore import explore

    found = explore(source, out)
    _show(found)
    if out:
        say("\nDrawn:", *(f"  {path}" for path in found.figures))
        next_steps([["cifarlab", "train", source]])
    else:
        draw = ["cifarlab", "explore", source, "--out", f"explore-{found.dataset}"]
        next_steps([draw, ["cifarlab", "train", source]])
    if json:
        emit(found.to_json())


def data(
    name: Annotated[str | None, typer.Argument(help="One dataset by name.")] = None,
    json: Json = False,
) -> None:
    """Show the datasets that have a name, and where each was found."""
    from cifarlab.data import describe_sources
    from cifarlab.errors import UnknownNameError

    found = {source.name: source for source in describe_sources()}
    if name and name not in found:
        raise UnknownNameError("dataset", name, found)
    shown = [found[name]] if name else list(found.values())
    table(["dataset", "found", "what it is"], [[s.name, s.found, s.summary] for s in shown])
    absent = [source for source in shown if source.found is None]
    say(*(f"\n{source.name} is fetched when it is first needed" for source in absent))
    next_steps([["cifarlab", "explore", source.name] for source in shown])
    if json:
        emit(shown[0]._asdict() if name else [source._asdict() for source in shown])


def _show(found: Exploration) -> None:
    """The findings as a person reads them."""
    splits = list(found.counts)
    brightness = found.brightness["per_class"]
    rows = [
        [name, *(found.counts[split][name] for split in splits), f"{brightness[name]:.1f}"]
        for name in found.class_names
    ]
    total = [sum(found.counts[split].values()) for split in splits]
    rows.append(["all", *total, f"{found.brightness['mean']:.1f}"])
    table(["class", *splits, "brightness"], rows, title=f"{found.dataset}: images and brightness")
    mean, std = ([f"{part:.4f}" for part in found.channels[key]] for key in ("mean", "std"))
    say("")
    table(["pixels in [0, 1]", "red", "green", "blue"], [["mean", *mean], ["deviation", *std]])
    repeated = {**found.duplicates["within"], **found.duplicates["across"]}
    counted = ", ".join(f"{name} {count:,}" for name, count in repeated.items())
    say(f"\nExact duplicates: {counted}; with different labels: {found.duplicates['conflicting']}")
    odd = found.odd_sizes
    say(f"Not square: {odd['not_square']}; smaller than they are shown: {odd['too_small']}")
    say(*found.notes)
