"""``cifarlab predict``: what is in these pictures?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cifarlab.cli import console
from cifarlab.cli.console import Json
from cifarlab.errors import ImageError, UsageError

if TYPE_CHECKING:  # `cifarlab predict --help` needs no NumPy
    from cifarlab.predict import Prediction, Predictor

BAR_WIDTH = 15  # characters; with it a table fits in 80 columns
NOT_KNOWN = "probably none of the classes"
STDIN = "-"

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE|DIR...",
        help="Image files, folders or patterns; - is one image on standard input.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="A run folder, an exported file, or the name of a model that comes with cifarlab.",
    ),
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
Link = Annotated[
    bool, typer.Option("--link", help="With --sort-into: symbolic links in place of copies.")
]
Pictures = Annotated[
    bool,
    typer.Option(help="Show a few pictures in the table, in a terminal with 24-bit colour."),
]


class Stdin(bytes):
    """One image that came on standard input, under the name by which it was asked for."""

    name = STDIN


def register(app: typer.Typer) -> None:
    """Add the command ``predict`` to ``app``."""
    app.command()(predict)


def predict(
    images: Images,
    model: Model = "cifar10",
    top: Top = 3,
    csv: Csv = None,
    explain: Explain = None,
    sort_into: SortInto = None,
    link: Link = False,
    pictures: Pictures = True,
    json: Json = False,
) -> None:
    """Predict what is in images.

    An image that cannot be read does not stop the others, but the exit status is 1 then.
    """
    if link and not sort_into:
        raise UsageError("--link says how --sort-into sorts; give --sort-into DIR with it")
    from cifarlab.cli import sorting
    from cifarlab.predict import load_predictor

    sources = find_sources(images)
    predictor = load_predictor(model)
    predictions = []
    for source, prediction in zip(sources, predictor.stream(sources), strict=True):
        predictions.append(prediction)
        if json:
            console.emit(prediction.to_json())
        if prediction.error:
            continue
        if explain:
            draw_into(explain, source, prediction, predictor, top)
        if sort_into:
            sorting.sort_into(sort_into, source, prediction, link=link)
    if csv:
        sorting.write_csv(csv, predictions)
    if len(predictions) > 1 or not predictions[0].error:
        show(predictions, top, drawings(predictor, sources) if pictures else [])
    fail_if_unread(predictions)
    if not explain:
        command = ["cifarlab", "predict", *images, "--model", model, "--explain", "explained"]
        console.next_steps([command])


def find_sources(images: Sequence[str]) -> list[Path | Stdin]:
    """What each argument stands for, in their order; standard input is read here."""
    from cifarlab.data.decode import MAX_BYTES
    from cifarlab.data.find import find_images

    if images.count(STDIN) > 1:
        raise ImageError("standard input holds one image; give - once")
    if STDIN in images and sys.stdin is None:  # after `<&-`
        raise ImageError("cannot read -: standard input is closed; send an image into it")
    found: list[Path | Stdin] = []
    for image in images:
        if image == STDIN:
            found.append(Stdin(sys.stdin.buffer.read(MAX_BYTES + 1)))
        else:
            found += find_images([image])
    return found


def drawings(predictor: Predictor, sources: Sequence[Path | Stdin]) -> list[Text]:
    """Each picture as the model saw it; none where the terminal cannot show them, or too many."""
    from cifarlab.cli import picture

    if not picture.can_draw(console.people()) or len(sources) > picture.MOST:
        return []
    side = picture.LARGE if len(sources) == 1 else picture.SMALL
    drawn = []
    for source in sources:
        try:
            drawn.append(picture.half_blocks(predictor.model_view(source), side))
        except ImageError:
            drawn.append(Text())
    return drawn


def show(predictions: Sequence[Prediction], top: int, pictures: Sequence[Text] = ()) -> None:
    """Print a table (file, label, probability, bars), then why the others could not be read."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    if pictures:
        table.add_column("as the model saw it", no_wrap=True)
    table.add_column("file", overflow="fold", min_width=12)
    table.add_column("label", min_width=10)
    table.add_column("probability", justify="right")
    table.add_column(f"top {top}", no_wrap=True)
    for number, p in enumerate(predictions):
        file, label = (console.printable(name or "") for name in (p.file, p.label))
        label = label if p.known else NOT_KNOWN
        cells = [label, f"{p.probability:.1%}", bars(p.top(top))] if not p.error else []
        row = [Text(cell) for cell in (file, *(cells or ["cannot be read"]))]
        table.add_row(*pictures[number : number + 1], *row)
    console.say(table, *(p.error for p in predictions if p.error))


def bars(ranked: Sequence[tuple[str, float]]) -> str:
    """A line a class: its name, a bar, its probability.

    Example:
        >>> print(bars([("cat", 0.75), ("dog", 0.25)]))
        cat ███████████      75.0%
        dog ████             25.0%
    """
    named = [(console.printable(name), value) for name, value in ranked]
    width = max(len(name) for name, _ in named)
    lengths = [(name, "█" * round(BAR_WIDTH * value), value) for name, value in named]
    return "\n".join(f"{name:<{width}} {bar:<{BAR_WIDTH}} {p:6.1%}" for name, bar, p in lengths)


def fail_if_unread(predictions: Sequence[Prediction]) -> None:
    """Raise `ImageError` when any picture could not be read: the others have been shown."""
    errors = [p.error for p in predictions if p.error]
    if errors:
        some = f"{len(errors)} of {len(predictions)} images cannot be read; the reasons are above"
        raise ImageError(errors[0] if len(predictions) == 1 else some)


def draw_into(
    folder: Path, source: Path | Stdin, prediction: Prediction, predictor: Predictor, top: int
) -> Path:
    """Draw the picture, what speaks for its class, and the bars; return the PNG's path."""
    from cifarlab.cli.sorting import file_name, free_path
    from cifarlab.data.decode import decode_image
    from cifarlab.data.views import describe_views
    from cifarlab.panels import explanation
    from cifarlab.plots import save_png

    image = decode_image(source)
    seen = predictor.model_views(image)
    best = predictor.class_names.index(str(prediction.label))
    found = [evidence(predictor, view, best) for view in seen]
    step = max(1, max(image.shape) // 512)  # a photograph has more pixels than the drawing shows
    figure = explanation(
        image[::step, ::step],
        [(view, *maps) for view, maps in zip(seen, found, strict=True)],
        describe_views(image.shape, predictor.image_size, predictor.fit),
        dict(prediction.top(top)),
        "" if prediction.known else NOT_KNOWN,
    )
    path = free_path(folder, f"{Path(file_name(source)).stem}.png")
    save_png(figure, path)
    return path


def evidence(predictor: Predictor, view: Any, class_index: int) -> tuple[Any, Any]:
    """The class-activation map, where Keras runs the model, and the occlusion map, both (S, S)."""
    if predictor.network is None:
        from cifarlab.occlusion import occlusion_map

        return None, occlusion_map(predictor.calibrated, view, class_index)
    from cifarlab.explain import explain

    found = explain(view, predictor.calibrated, predictor.network, class_index)
    return found.activation, found.occlusion
