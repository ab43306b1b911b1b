"""``cifarlab predict``: what is in these pictures?"""

from __future__ import annotations

import csv as csv_format
import io
import re
import shutil
from collections.abc import Sequence
from filecmp import cmp
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cifarlab.cli import console
from cifarlab.cli.console import Json
from cifarlab.errors import ImageError
from cifarlab.files import replacing, write_bytes

if TYPE_CHECKING:  # `cifarlab predict --help` needs no NumPy
    from cifarlab.predict import Prediction, Predictor

BAR_WIDTH = 15  # characters; with it a table fits in 80 columns
NOT_KNOWN = "probably none of the classes"

Images = Annotated[
    list[str], typer.Argument(metavar="IMAGE|DIR...", help="Image files, folders or patterns.")
]
Model = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="A run folder; by default the newest one under ./runs."),
]
Top = Annotated[int, typer.Option(min=1, metavar="K", help="How many classes to show.")]
Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Write all probabilities as CSV.")]
Explain = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Draw each picture, and where its class was seen."),
]
SortInto = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Copy each picture to DIR/LABEL or DIR/unknown."),
]


def register(app: typer.Typer) -> None:
    """Add the command ``predict`` to ``app``."""
    app.command()(predict)


def predict(
    images: Images,
    model: Model = None,
    top: Top = 3,
    csv: Csv = None,
    explain: Explain = None,
    sort_into: SortInto = None,
    json: Json = False,
) -> None:
    """Predict what is in images.

    An image that cannot be read does not stop the others, but the exit status is 1 then.
    """
    from cifarlab.predict import find_images, load_predictor

    files = find_images(images)
    model = model or announce_newest_run()
    predictor = load_predictor(model)
    predictions = []
    for prediction in predictor.stream(files):
        predictions.append(prediction)
        if json:
            console.emit(prediction.to_json())
        if explain and not prediction.error:
            draw_into(explain, prediction, predictor, top)
        if sort_into and not prediction.error:
            copy_into(sort_into, prediction)
    if csv:
        write_csv(csv, predictions)
    if len(predictions) > 1 or not predictions[0].error:
        show(predictions, top)
    fail_if_unread(predictions)
    if not explain:
        command = ["cifarlab", "predict", *images, "--model", model, "--explain", "explained"]
        console.next_steps([command])


def announce_newest_run() -> str:
    """The newest completed run; standard error says which one, as nobody named it."""
    from cifarlab.predict import newest_run

    run = str(newest_run())
    console.err.print(f"model: {run}", markup=False, highlight=False, soft_wrap=True)
    return run


def show(predictions: Sequence[Prediction], top: int) -> None:
    """Print a table (file, label, probability, bars), then why the others could not be read."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("file", overflow="fold", min_width=12)
    table.add_column("label", min_width=10)
    table.add_column("probability", justify="right")
    table.add_column(f"top {top}", no_wrap=True)
    for p in predictions:
        label = p.label if p.known else NOT_KNOWN
        cells = [p.file, label, f"{p.probability:.1%}", bars(p.top(top))] if not p.error else []
        table.add_row(*(Text(cell or "") for cell in cells or [p.file, "cannot be read"]))
    console.say(table, *(p.error for p in predictions if p.error))


def bars(ranked: Sequence[tuple[str, float]]) -> str:
    """A line a class: its name, a bar, its probability.

    Example:
        >>> print(bars([("cat", 0.75), ("dog", 0.25)]))
        cat ███████████      75.0%
        dog ████             25.0%
    """
    width = max(len(name) for name, _ in ranked)
    lengths = [(name, "█" * round(BAR_WIDTH * value), value) for name, value in ranked]
    return "\n".join(f"{name:<{width}} {bar:<{BAR_WIDTH}} {p:6.1%}" for name, bar, p in lengths)


def fail_if_unread(predictions: Sequence[Prediction]) -> None:
    """Raise `ImageError` when any picture could not be read: the others have been shown."""
    errors = [p.error for p in predictions if p.error]
    if errors:
        some = f"{len(errors)} of {len(predictions)} images cannot be read; the reasons are above"
        raise ImageError(errors[0] if len(predictions) == 1 else some)


def write_csv(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write file, label, probability, known, error and a column a class, whole or not at all."""
    names = next((list(p.probabilities) for p in predictions if p.probabilities), [])
    text = io.StringIO()
    rows = csv_format.writer(text, lineterminator="\n")
    rows.writerow(["file", "label", "probability", "known", "error", *names])
    for p in predictions:
        values = (p.probabilities or {}).values()
        rows.writerow([p.file, p.label, p.probability, p.known, p.error, *values])
    # A file's name need not be valid UTF-8: it comes out as the bytes that it is.
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def draw_into(folder: Path, prediction: Prediction, predictor: Predictor, top: int) -> Path:
    """Draw the picture, what speaks for its class, and the bars; return the PNG's path."""
    from cifarlab.data.decode import decode_image
    from cifarlab.explain import explain
    from cifarlab.panels import explanation
    from cifarlab.plots import save_png

    source = Path(prediction.file or "")
    image = decode_image(source)
    view = predictor.model_view(image)
    best = predictor.class_names.index(str(prediction.label))
    found = explain(view, predictor.calibrated, predictor.network, best)
    step = max(1, max(image.shape) // 512)  # a photograph has more pixels than the drawing shows
    bars = dict(prediction.top(top))
    figure = explanation(image[::step, ::step], view, found.activation, found.occlusion, bars)
    path = free_path(folder, f"{source.stem}.png")
    save_png(figure, path)
    return path


def copy_into(folder: Path, prediction: Prediction) -> Path:
    """Copy the file to ``folder``/<label>/, or ``folder``/unknown/ when it is not known.

    Nothing is moved or overwritten: where another picture has the name, the copy gets a number;
    where the same picture is already, nothing is done. Returns the path of the copy.
    """
    source = Path(prediction.file or "")
    label = prediction.label if prediction.known else None
    # A class may have any name: in a folder's name it must not lead elsewhere.
    name = re.sub(r"[^\w .+-]", "_", label).strip(" .") or "_" if label else "unknown"
    path = free_path(folder / name, source.name, same_as=source)
    if not path.exists():
        with open(source, "rb") as original, replacing(path) as copy:
            shutil.copyfileobj(original, copy)
    return path


def free_path(folder: Path, name: str, same_as: Path | None = None) -> Path:
    """``folder/name``, numbered until no file has it, or the file there equals ``same_as``."""
    stem, suffix = Path(name).stem, Path(name).suffix
    candidates = chain([name], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(
        path
        for path in (folder / candidate for candidate in candidates)
        if not path.exists() or (same_as and path.is_file() and cmp(same_as, path, shallow=False))
    )
