"""Is the data sound: ``cifarlab audit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifarlab.cli.console import Json, OtherData, RunFolder, emit, next_steps, say, table

if TYPE_CHECKING:
    from cifarlab.audit import Audit


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(audit)


def audit(
    run: RunFolder,
    data: OtherData = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For the CSV and the contact sheets; RUN/audit."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Of the cross-validation on train.")] = 5,
    json: Json = False,
) -> None:
    """Look for copies, leaks into test, wrong labels, outliers."""
    from cifarlab.backend import load
    from cifarlab.run import Run

    folder = Run(run)
    load(folder.environment["backend"])
    from cifarlab.audit import audit

    found = audit(folder, data=data, out=out, folds=folds)
    _show(found)
    say("\nWritten:", *(f"  {path}" for path in found.files))
    next_steps([["cifarlab", "report", str(run)]])
    if json:
        emit(found.to_json())


def _show(found: Audit) -> None:
    """The findings as a person reads them."""
    counts = found.counts
    rows = [
        ["pairs of copies across splits", counts["leak"]],
        ["pairs of copies within a split", counts["duplicate"]],
        ["of both, with the very same pixels", counts["exact"]],
        ["of both, with different labels", counts["conflicting"]],
        ["labels that are probably wrong", counts["label"]],
        ["images far from their class", counts["outlier"]],
    ]
    images = ", ".join(f"{name} {n:,}" for name, n in found.images.items())
    table(["found", "number"], rows, title=f"images: {images}")
    if found.leaked:
        say(f"\nTest images with a copy elsewhere: {len(found.leaked):,}")
    for name, figures in (found.accuracy or {}).items():
        low, high = figures["accuracy_ci95"]
        which = "all test images" if name == "all" else "test images without a copy"
        say(
            f"accuracy on {which}: {figures['accuracy']:.2%} "
            f"(95 % interval {low:.2%} to {high:.2%}), {figures['n']:,} images"
        )
    for name, balance in found.balance.items():
        if balance["imbalanced"]:
            few = ", ".join(f"{each} ({balance['counts'][each]:,})" for each in balance["small"])
            largest = max(balance["counts"].values())
            say(f"{name} is imbalanced: the largest class has {largest:,} images; few: {few}")
    if found.test_look:
        say("the images of test were looked at, which is counted in result.json")
