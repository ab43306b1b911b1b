"""The lesson, and doing it again: ``cifarlab ladder`` and ``cifarlab reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifarlab.cli.console import Json, OtherData, RunFolder, emit, next_steps, say, table
from cifarlab.errors import TrainingError

if TYPE_CHECKING:
    from cifarlab.reproduce import Receipt


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(ladder)
    app.command()(reproduce)


def ladder(
    data: Annotated[str, typer.Argument(help="cifar10, digits, or a path.")] = "cifar10",
    runs: Annotated[
        int | None, typer.Option(min=1, help="Seeds a rung; 3, or 1 with --fast.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="A fifth of the epochs, one seed.")] = False,
    aside: Annotated[
        bool, typer.Option("--aside", help="Also longer, wider, and without each regulariser.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="In place of runs/ladder-DATA.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="tensorflow (the default) or jax.")
    ] = None,
    test: Annotated[bool, typer.Option(help="Measure on test, else only on validation.")] = True,
    json: Json = False,
) -> None:
    """Improve a CNN a change at a time; goes on where it stopped."""
    from cifarlab import backend as backends

    backends.load(backend)
    from cifarlab.cli.display import training_display
    from cifarlab.data import load_dataset
    from cifarlab.ladder import ASIDE, RUNGS, climb, faster
    from cifarlab.report.ladder import write_ladder_page
    from cifarlab.report.records import typed

    rungs, others = (faster(RUNGS), faster(ASIDE)) if fast else (RUNGS, ASIDE)
    loaded = load_dataset(data, image_size=RUNGS[0].recipe.image_size)
    folder = out or Path("runs") / f"ladder-{loaded.name}{'-fast' if fast else ''}"
    seeds, beside = runs or (1 if fast else 3), others if aside else ()
    kinds = {"split": "test" if test else "val", "displays": training_display}
    found = climb(loaded, folder, runs=seeds, rungs=rungs, aside=beside, **kinds)  # type: ignore[arg-type]
    flags = {"--fast": fast, "--aside": aside, "--no-test": not test}
    given = [flag for flag, on in flags.items() if on]
    words = ["cifarlab", "ladder", data, "--runs", str(seeds), *given]
    page, picture = write_ladder_page(found, " ".join(map(typed, words)), folder)
    _show(found)
    say(f"\nPage: {page}", f"Plot: {picture}", f"Figures: {folder / 'ladder.json'}")
    next_steps([["cifarlab", "report", *found["rungs"][-1]["runs"]]])
    if json:
        emit(found | {"page": str(page), "plot": str(picture)})


def _show(found: dict[str, Any]) -> None:
    """The rungs, what stands beside them and the classes, as tables, and the summary."""
    from cifarlab.report.ladder import class_rows, hardest, opening

    say("")
    for title, rungs in (("", found["rungs"]), ("Beside the ladder", found["aside"])):
        if rungs:
            say(title) if title else None
            columns = ["", "rung", "accuracy", "95 % interval", "gain", "interval", "over images"]
            rows = [_row(i, rung) for i, rung in enumerate(rungs, start=1)]
            table([*columns, "", "seconds", "parameters", "multiply-adds"], rows)
            say("")
    classes = class_rows(found)
    if classes:
        columns = ["class", "first", "last", "gain", "interval", "largest step"]
        table(columns, [list(row.values()) for row in classes])
        say("")
    say(*opening(found), *hardest(found))


def _row(number: int, rung: dict[str, Any]) -> list[str]:
    from cifarlab.report.ladder import signed, signed_interval, verdict

    gain, (low, high) = rung["gain"], rung["accuracy_ci95"]
    return [
        str(number),
        rung["name"],
        f"{100 * rung['accuracy_mean']:.2f} %",
        f"{100 * low:.2f} to {100 * high:.2f} %",
        "" if gain is None else signed(gain["difference"]),
        "" if gain is None else signed_interval(gain["interval"]),
        "" if gain is None else signed_interval(gain["interval_images"]),
        verdict(gain),
        f"{rung['seconds_mean']:,.0f}",
        f"{rung['parameters']:,}",
        f"{rung['multiply_adds']:,}",
    ]


def reproduce(
    run: RunFolder,
    data: OtherData = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The new run folder; RUN-again by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a run again and say what comes out the same."""
    from cifarlab.backend import load
    from cifarlab.run import Run

    folder = Run(run)
    load(folder.environment["backend"])
    from cifarlab.cli.display import training_display
    from cifarlab.reproduce import reproduce

    with training_display() as display:
        receipt = reproduce(folder, out=out, data=data, display=display)
    _show_receipt(receipt)
    next_steps([["cifarlab", "report", str(run), receipt.again]])
    if json:
        emit(receipt.to_json())
    if not receipt.reproduced:
        raise TrainingError(f"{run} was not reproduced: {'; '.join(receipt.wrong)}")


def _show_receipt(receipt: Receipt) -> None:
    """What matches, what does not, and what differs around it."""
    from cifarlab.reproduce import KEPT_AS

    say("")
    rows = [[each.what, each.verdict, each.detail] for each in receipt.findings]
    table(["", "", ""], rows)
    if receipt.environment:
        say("\nDiffers in the environment:")
        table(
            ["", "then", "now"],
            [[what, str(then), str(now)] for what, (then, now) in receipt.environment.items()],
        )
    say("", *receipt.sentences, f"\nReceipt: {Path(receipt.again) / KEPT_AS}")
