"""``cifarlab export``: a run as a file that other programs use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifarlab.cli.console import Json, OtherData, RunFolder, emit, next_steps, say, table

if TYPE_CHECKING:  # `--help` needs no NumPy
    from cifarlab.export import Export


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(export)


def export(
    run: RunFolder,
    format: Annotated[str, typer.Option(help="onnx, litert, saved-model or keras.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Convolutions in whole numbers: smaller and faster.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="By default in RUN/export.")
    ] = None,
    data: OtherData = None,
    json: Json = False,
) -> None:
    """Write a run's model for other programs, certified."""
    from cifarlab.export import export as make

    made = make(run, format, out, int8=int8, data=data, tell=say)
    _show(made)
    next_steps([["cifarlab", "predict", "photo.jpg", "--model", str(made.path)]])
    if json:
        emit({**made.certificate, "file": made.path, "certificate": made.certificate_path})


def _show(made: Export) -> None:
    """What was asked, how far the answers agree, and how fast an int8 file is."""
    found = made.certificate
    rows = [
        [
            row["name"],
            f"{row['n']:,}",
            f"{row['top1_agreement']:,}",
            f"{row['largest_difference']:.1e}",
        ]
        for row in [*found["cases"], {**found, "name": "all"}]
    ]
    title = f"by {found['runtime']['name']} {found['runtime']['version']}, beside the run's model"
    table(["images", "n", "same class", "largest |Δp|"], rows, title=title)
    if found["dataset_missing"]:
        say(f"made-up images in place of the test images: {found['dataset_missing']}")
    if found["int8"]:
        _show_int8(found["validation"], found["speed"])
    say(f"\n{made.path}", f"{made.certificate_path}")


def _show_int8(validation: dict[str, Any], speed: dict[str, Any]) -> None:
    """What whole numbers cost and give."""
    before, after = validation["accuracy_float32"], validation["accuracy_int8"]
    say(f"{validation['n']:,} validation images: {before:.2%} in float32, {after:.2%} in int8")
    one, many = speed["single_ratio"], speed["bulk_ratio"]
    say(f"times faster than float32: {one:.1f} one by one, {many:.1f} in {speed['bulk_batch']}s")
