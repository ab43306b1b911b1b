"""Arrays in, a ``matplotlib.figure.Figure`` out; nothing is computed here, no window is opened.

Colours are from Okabe and Ito's palette (2008), which people with any colour vision can tell apart;
what a colour says, a line style, a mark or a word says too. Names are drawn as they are: a ``$`` in
a class name is a dollar sign, never mathematics. The middle of a very long one is left out.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.files import replacing

PAPER, INK, FAINT = "#ffffff", "#1c2430", "#c3c8cf"
TRAIN, VALIDATION, RATE = "#0072b2", "#d55e00", "#4d5763"
SERIES = (TRAIN, VALIDATION, "#009e73", "#cc79a7", "#a67c00", "#56b4e9")
DASHES = ("-", "--", "-.", ":")
LETTERS = 28  # of a name: more would leave a figure no room, or lie on the next title
BLUES = LinearSegmentedColormap.from_list("paper to blue", [PAPER, "#7fb3d6", "#00486f"])

STYLE: Any = {  # matplotlib's rcParams
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 10,
    "figure.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.9,
    "lines.markersize": 4,
    "legend.frameon": False,
    "svg.fonttype": "none",  # words stay text: they can be read aloud, searched and restyled
    "svg.hashsalt": "cifarlab",  # the same bytes for the same figure
}

# The panels of the learning curves: which columns of history.csv, and how each line looks.
TRAINING = {"label": "training", "color": TRAIN, "linestyle": "--"}
MEASURED = {"label": "validation", "color": VALIDATION, "linestyle": "-"}
PANELS: dict[str, dict[str, dict[str, Any]]] = {
    "loss": {"loss": TRAINING, "val_loss": MEASURED},
    "accuracy": {"accuracy": TRAINING, "val_accuracy": MEASURED},
    "learning_rate": {"learning_rate": {"color": RATE}},
}

History = Sequence[Mapping[str, Any]]


@rc_context(STYLE)
def learning_curves(
    history: History,
    best_epoch: int | None = None,
    panels: Sequence[str] = tuple(PANELS),
    width: float = 11,
) -> Figure:
    """Panels over epochs: loss, accuracy (training and validation) and learning rate.

    Args:
        history: one mapping an epoch, keys as in ``history.csv``; a value may be None or absent.
        best_epoch: the one whose weights were kept; marked, where given.
        panels: which of ``"loss"``, ``"accuracy"``, ``"learning_rate"``, from left to right.
        width: of the figure in inches.
    """
    figure = Figure(figsize=(width, 0.8 + 0.6 * width / len(panels)))
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=True):
        _draw_panel(axes, history, panel, best_epoch)
    return figure


@rc_context(STYLE)
def curves_together(histories: Mapping[str, History], column: str) -> Figure:
    """One column of several histories over epochs, a line a run, named as the keys are."""
    figure = Figure(figsize=(5.6, 3.4))
    axes = figure.subplots()
    for i, (name, history) in enumerate(histories.items()):
        label = name.lstrip("_")  # one that begins so is left out of the legend
        axes.plot(*_points(history, column), label=label, marker=_marker(history), **_look(i))
    _format_panel(axes, column.removeprefix("val_"))
    axes.legend()
    return figure


@rc_context(STYLE)
def confusion(matrix: ArrayLike, class_names: Sequence[str]) -> Figure:
    """A confusion matrix, int (C, C), rows true: its shares as shades, its counts as numbers."""
    counts, classes = np.asarray(matrix), len(class_names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.2 + 0.55 * classes, 4.5, 14))
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(shares, cmap=BLUES, vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape) if classes <= 25 else ():  # else unreadable
        ink = PAPER if shares[row, column] > 0.5 else INK
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink)
    font_size = float(np.clip(240 / classes, 3, 10))
    names = [*map(shortened, class_names)]
    axes.set_xticks(range(classes), names, rotation=90, fontsize=font_size)
    axes.set_yticks(range(classes), names, fontsize=font_size)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.tick_params(length=0)
    return figure


@rc_context(STYLE)
def image_grid(
    images: NDArray[np.uint8],
    titles: Sequence[str],
    columns: int,
    correct: Sequence[bool] | None = None,
) -> Figure:
    """Images, uint8 (N, H, W, 3), in rows of ``columns``, each under its title.

    ``correct`` (N,) adds a tick or a cross to each title, and colours it.

    Raises:
        CifarlabError: no image, or not a title for each.
    """
    if not len(images) or len(images) != len(titles):
        counts = f"{len(images)} images, {len(titles)} titles"
        raise CifarlabError(f"an image grid needs a title for each image. Received: {counts}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.9 * rows))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(images) :]:
        axes.set_axis_off()
    for i, (axes, image, title) in enumerate(zip(grid.flat, images, titles, strict=False)):
        mark, ink = "", INK
        if correct is not None:
            mark, ink = ("✓ ", TRAIN) if correct[i] else ("✗ ", VALIDATION)
        lines = map(shortened, title.splitlines())
        draw_image(axes, image, mark + "\n".join(lines), fontsize=8, color=ink)
    return figure


@rc_context(STYLE)
def class_counts(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Bars: images of each class, a bar for each split. ``counts`` maps split to int (C,)."""
    splits, classes = len(counts), len(class_names)
    thickness = 0.8 / splits
    figure = Figure(figsize=(7.5, min(1.2 + classes * (0.12 + 0.16 * splits), 60)))
    axes = figure.subplots()
    for i, (split, values) in enumerate(counts.items()):
        places = np.arange(classes) + i * thickness
        bars = axes.barh(places, values, 0.92 * thickness, label=split, color=SERIES[i % 6])
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    places = np.arange(classes) + thickness * (splits - 1) / 2
    axes.set_yticks(places, [*map(shortened, class_names)])
    axes.set_xlabel("images")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    figure.legend(loc="outside upper right", ncols=splits)
    return figure


@rc_context(STYLE)
def class_samples(images: NDArray[np.uint8], class_names: Sequence[str]) -> Figure:
    """A row of sample images for each class: uint8 (C, K, H, W, 3)."""
    classes, each = images.shape[:2]
    figure = Figure(figsize=(0.95 * each + 1.6, 0.95 * classes))
    grid = figure.subplots(classes, each, squeeze=False)
    for (row, column), axes in np.ndenumerate(grid):
        draw_image(axes, images[row, column])
        if column == 0:
            axes.set_ylabel(shortened(class_names[row]), rotation=0, ha="right", va="center")
    return figure


@rc_context(STYLE)
def brightness_histogram(counts: Mapping[str, Sequence[float]], edges: Sequence[float]) -> Figure:
    """How bright the images are, an outline a split.

    Args:
        counts: split to (B,) shares of its images, in [0, 1], so that splits of any size compare.
        edges: (B + 1,) the bins' edges in [0, 255].
    """
    figure = Figure(figsize=(7.2, 3.2))
    axes = figure.subplots()
    for i, (split, values) in enumerate(counts.items()):
        axes.stairs(values, edges, label=split, linewidth=1.8, **_look(i))
    axes.set(xlabel="mean brightness of an image (0 black, 255 white)", ylabel="share of images")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def shortened(name: str) -> str:
    """A name of `LETTERS` at most: what is left out of the middle is an ellipsis.

    Example:
        >>> shortened("cat"), shortened("a photograph of a very small cat")
        ('cat', 'a photograph of a …small cat')
    """
    if len(name) <= LETTERS:
        return name
    end = LETTERS // 3
    return f"{name[: LETTERS - end - 1]}…{name[-end:]}"


def save_png(figure: Figure, path: str | os.PathLike[str], dpi: int = 144) -> None:
    """Write a figure as PNG, whole or not at all; `CifarlabError` if it cannot be written.

    Example:
        >>> save_png(confusion([[1, 0], [0, 1]], ["cat", "dog"]), tmp_path / "a.png")
        >>> (tmp_path / "a.png").read_bytes()[1:4]
        b'PNG'
    """
    with replacing(path) as file:
        save_figure(figure, file, format="png", dpi=dpi)


@rc_context(STYLE)
def save_figure(figure: Figure, file: IO[bytes], **options: Any) -> None:
    """``figure.savefig(file, **options)`` in the house style."""
    with warnings.catch_warnings():
        # A script that the font lacks becomes boxes; the report has every name as text too.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, **options)


def _draw_panel(axes: Axes, history: History, panel: str, best_epoch: int | None) -> None:
    best: tuple[float, str] | None = None  # height and colour: of validation, where there is one
    for column, look in PANELS[panel].items():
        epochs, values = _points(history, column)
        if np.isfinite(values).any():
            axes.plot(epochs, values, marker=_marker(history), **look)
            heights = values[epochs == best_epoch]
            best = (heights[0], look["color"]) if len(heights) else None
    if best is not None and best_epoch is not None:
        axes.axvline(best_epoch, color=FAINT, linewidth=1, zorder=0)
        axes.plot(best_epoch, best[0], "o", color=best[1], markersize=8, label="weights kept")
    _format_panel(axes, panel)
    if panel != "learning_rate" and axes.lines:
        axes.legend()


def _format_panel(axes: Axes, panel: str) -> None:
    axes.set(xlabel="epoch", ylabel=panel.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    form = (lambda v, _: f"{100 * v:.3g} %") if panel == "accuracy" else (lambda v, _: f"{v:.4g}")
    axes.yaxis.set_major_formatter(FuncFormatter(form))
    if panel == "learning_rate":
        axes.set_ylim(bottom=0)


def _points(history: History, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Epochs and values, float64 (E,); a value that is missing is NaN, which breaks the line."""
    values = [np.nan if row.get(column) is None else row[column] for row in history]
    return np.array([row["epoch"] for row in history], float), np.array(values, float)


def _marker(history: History) -> str:
    return "o" if len(history) <= 15 else ""  # many dots would only thicken the line


def _look(i: int) -> dict[str, Any]:
    return {"color": SERIES[i % len(SERIES)], "linestyle": DASHES[i % len(DASHES)]}


def draw_image(axes: Axes, image: NDArray[np.uint8], title: str = "", **look: Any) -> None:
    """An image, uint8 (H, W, 3), without ticks; ``look`` is of its title."""
    smooth = "nearest" if max(image.shape) <= 96 else "antialiased"  # small ones keep their pixels
    axes.imshow(image, interpolation=smooth)
    axes.set_title(title, **{"fontsize": 10, **look})
    axes.spines[:].set_visible(False)
    axes.set(xticks=[], yticks=[])
