"""Figures and pages of finished runs: ``cifarlab evaluate`` and ``cifarlab report``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifarlab.cli.console import Json, OtherData, emit, next_steps, say, table
from cifarlab.cli.unknowns import Unknown, parse_sets, show_unknowns
from cifarlab.errors import UsageError

if TYPE_CHECKING:
    from cifarlab.evaluation import Evaluation


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(evaluate)
    app.command()(report)


def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="A run folder, an exported file or a bundled model."),
    ] = None,
    data: OtherData = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of MODEL: published predictions or logits, in the order of the split "
            "(.npz, .npy, .csv, .txt).",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    tta: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Average over mirrored (flip) or moved (shift) views, or over moved ones where "
            "unsure (selective): none, flip, shift, selective; by default as the recipe says.",
        ),
    ] = None,
    unknown: Unknown = None,
    json: Json = False,
) -> None:
    """Measure a run or a file on a split; looks at test are counted."""
    sets = parse_sets(unknown or [])
    if predictions is not None:
        _require_run(sets)
        _published(predictions, run, data, split, tta, json)
        return
    if run is None:
        raise UsageError("evaluate needs a MODEL, or --predictions FILE")
    from cifarlab.runtimes import exported_file

    if file := exported_file(run):
        _require_run(sets)
        _exported(run, file, data, split, tta, json)
        return
    from cifarlab.backend import load
    from cifarlab.run import Run

    folder = Run(run)
    load(folder.environment["backend"])
    from cifarlab.evaluate import evaluate
    from cifarlab.explain import keep_maps

    options: dict[str, Any] = {"data": data, "split": split, "tta": tta}
    found = evaluate(folder, **options, unknown=sets)
    keep_maps(folder, split)
    say(headline(found), *views(found), calibration(found))
    say(f"looks at the test split so far: {found.test_looks}\n")
    _classes(found.per_class)
    if found.unknowns:
        show_unknowns(found.unknowns, split)
    next_steps([["cifarlab", "report", str(run)]])
    if json:
        emit(found.to_json())


def headline(found: Evaluation) -> str:
    """How good it is, in one line."""
    low, high = found.accuracy_ci95
    return (
        f"{found.split}: accuracy {found.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}), "
        f"loss {found.loss:.4f}, calibration error {found.ece:.4f}, {found.n:,} images"
    )


def _require_run(sets: Mapping[str, str]) -> None:
    if sets:
        raise UsageError("--unknown is for runs, whose training chose what counts as known")


def _exported(
    model: Path, file: Path, data: str | None, split: str, tta: str | None, json: bool
) -> None:
    """The figures of `file`, which `model` means and which sees each image once."""
    if tta not in (None, "none"):
        raise UsageError("an exported file sees each image once; --tta is for runs")
    from cifarlab.evaluate_file import evaluate_file

    found = evaluate_file(file, data=data, split=split)
    say(headline(found), calibration(found), "a file keeps no count of looks at test\n")
    _classes(found.per_class)
    next_steps([["cifarlab", "predict", "photo.jpg", "--model", str(model)]])
    if json:
        emit(found.to_json())


def _published(
    file: Path, run: Path | None, data: str | None, split: str, tta: str | None, json: bool
) -> None:
    """The figures of a file of predictions; no run, no model, no view."""
    if run is not None or tta is not None:
        raise UsageError("--predictions stands alone: MODEL and --tta make answers of their own")
    from cifarlab.answers import evaluate_predictions

    found = evaluate_predictions(file, data or "cifar10", split)
    low, high = found["accuracy_ci95"]
    say(
        f"{found['file']} on {found['split']} of {found['dataset']}: accuracy "
        f"{found['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), {found['n']:,} images"
    )
    if "loss" in found:
        say(f"loss {found['loss']:.4f}, calibration error {found['ece']:.4f}")
    say("")
    _classes(found["per_class"])
    if json:
        emit(found)


def _classes(per_class: Mapping[str, Mapping[str, float]]) -> None:
    rows = [
        [name, *(f"{f[key]:.4f}" for key in ("precision", "recall", "f1")), f"{f['support']:,}"]
        for name, f in per_class.items()
    ]
    table(["class", "precision", "recall", "f1", "images"], rows)


def views(found: Evaluation) -> list[str]:
    """What averaging over views gained and cost; nothing of images as they are."""
    gain = found.figures["tta_gain"]
    if gain is None:
        return []
    low, high = (f"{100 * bound:+.2f}" for bound in gain["difference_ci95"])
    gained = (
        f"without the views of {found.tta}: accuracy {gain['accuracy_without']:.2%}; they gain "
        f"{100 * gain['difference']:+.2f} points (95 % interval {low} to {high}, McNemar's exact "
        f"p = {gain['p_value']:.2g}) for {gain['seconds_ratio']:.1f} times the time, "
        f"{gain['views']:.3g} views an image"
    )
    return [gained]


def calibration(found: Evaluation) -> str:
    """What its temperature does to the calibration error, or that there is none."""
    if found.temperature == 1:
        return "not calibrated: the run has no validation images that say how sure it may be"
    before = found.figures["ece_uncalibrated"]
    same = "; these are the images that it was fitted to" if found.split == "val" else ""
    return (
        f"calibrated on validation with temperature {found.temperature:.3f}: "
        f"calibration error {before:.4f} before, {found.ece:.4f} after{same}"
    )


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run folder or more.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page; in the run's folder by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a page that shows how good a run is, or several."""
    from cifarlab.report import write_report
    from cifarlab.run import Run

    path = write_report([Run(run) for run in runs], out)
    say(f"Report: {path}")
    next_steps([["cifarlab", "predict", "photo.jpg", "--model", str(runs[0])]])
    if json:
        emit({"report": str(path)})
