"""``cifarlab robustness``: how accurate is a run on images that went bad?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cifarlab.cli.console import Json, OtherData, RunFolder, emit, next_steps, people, say, table
from cifarlab.errors import UsageError

if TYPE_CHECKING:  # `--help` needs no NumPy
    from cifarlab.robustness import Progress, Robustness


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(robustness)


def robustness(
    run: RunFolder,
    data: OtherData = None,
    split: Annotated[str, typer.Option(help="val, test or train.")] = "val",
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most that many images, drawn at random.")
    ] = 1000,
    severities: Annotated[
        str, typer.Option(metavar="LIST", help="Among 1 (slight) to 5.")
    ] = "1,2,3,4,5",
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help="These corruptions, such as fog,snow.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a run on noisy, blurred, moved images."""
    levels = _whole_numbers(severities)
    from cifarlab.backend import load
    from cifarlab.run import Run

    folder = Run(run)
    load(folder.environment["backend"])
    from cifarlab.robustness import measure_robustness

    names = only.split(",") if only else None
    options: dict[str, Any] = {"data": data, "split": split, "limit": limit, "names": names}
    with _progress() as tell:
        found = measure_robustness(folder, **options, severities=levels, progress=tell)
    path = run / "plots" / f"robustness{'' if found.own else '-other'}.png"
    _show(found)
    _draw(found, path)
    say(f"\nPlot: {path}")
    next_steps([["cifarlab", "evaluate", str(run), "--split", split]])
    if json:
        emit(found.to_json())


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--severities takes whole numbers such as 1,3,5. Received: {text!r}"
        ) from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar in a terminal, a line a corruption elsewhere."""
    if not people().is_terminal:
        yield lambda done, total, name: say(f"{done + 1}/{total} {name}")
        return
    from rich.progress import Progress as Bars

    with Bars(console=people(), transient=True) as bars:
        task = bars.add_task("clean")
        yield lambda done, total, name: bars.update(
            task, completed=done, total=total, description=name
        )


def _show(found: Robustness) -> None:
    """A row a corruption, a column a severity, the means last."""
    from cifarlab.corrupt import CORRUPTIONS

    rows = [
        [name, CORRUPTIONS[name].kind]
        + [_percent(found.accuracy(name, level)) for level in found.severities]
        + [_percent(found.accuracy(name))]
        for name in found.right
    ]
    columns = ["corruption", "kind", *map(str, found.severities), "mean"]
    title = f"accuracy in % on {found.n:,} of {found.images_in_split:,} {found.split} images"
    table(columns, rows, title=title)
    clean = f"\nclean {_percent(found.clean_accuracy)} %"
    parts = [("corruptions", None), ("shifts, scales and rotations", "geometry")]
    for words, kind in parts:
        mean, interval = found.mean_accuracy(kind), found.mean_interval(kind)
        if mean is not None:
            bounds = " to ".join(map(_percent, interval)) if interval else "unknown"
            clean += f"; mean over {words} {_percent(mean)} % (95 % interval {bounds})"
    say(clean, f"looks at the test split so far: {found.test_looks}")


def _draw(found: Robustness, path: Path) -> None:
    from cifarlab.corrupt import KINDS
    from cifarlab.panels import robustness_curves
    from cifarlab.plots import save_png

    accuracies = {
        kind: {
            name: [found.accuracy(name, level) for level in found.severities]
            for name in found.names(kind)
        }
        for kind in KINDS
        if found.names(kind)
    }
    save_png(robustness_curves(accuracies, found.severities, found.clean_accuracy), path)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
