"""Figures of certainty, robustness and explanations, in the style of `cifarlab.plots`.

Arrays in, a ``matplotlib.figure.Figure`` out; nothing is computed here but what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from cifarlab.plots import DASHES, FAINT, INK, SERIES, STYLE, TRAIN, draw_image, shortened

HEAT = LinearSegmentedColormap.from_list("clear to orange", ["#f0e44200", "#f0a02fb0", "#d55e00e6"])
SIGNED = LinearSegmentedColormap.from_list(
    "blue to clear to orange", ["#0072b2e6", "#ffffff00", "#d55e00e6"]
)


@rc_context(STYLE)
def robustness_curves(
    accuracies: Mapping[str, Mapping[str, Sequence[float]]],
    severities: Sequence[int],
    clean: float,
) -> Figure:
    """Accuracy over severity, a panel a kind of corruption and a line a corruption.

    Args:
        accuracies: kind to corruption to (K,) accuracies in [0, 1].
        severities: (K,) where they were measured.
        clean: accuracy without corruption, a dotted line in each panel.
    """
    figure = Figure(figsize=(2.9 * len(accuracies) + 0.6, 4.2))
    panels = figure.subplots(1, len(accuracies), sharey=True, squeeze=False)[0]
    for axes, (kind, lines) in zip(panels, accuracies.items(), strict=True):
        axes.axhline(clean, color=INK, linestyle=":", linewidth=1.2, label="clean")
        for i, (name, values) in enumerate(lines.items()):
            look = {"color": SERIES[i % len(SERIES)], "linestyle": DASHES[i % len(DASHES)]}
            axes.plot(severities, values, marker="o", label=name.replace("_", " "), **look)
        axes.set(title=kind, xlabel="severity", xticks=list(severities), ylim=(0, 1))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        # Below the panel: a legend inside would lie on the lines of a model that falls far.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8)
    panels[0].set_ylabel("accuracy")
    return figure


View = tuple[NDArray[np.uint8], NDArray[np.float32] | None, NDArray[np.float32]]


@rc_context(STYLE)
def explanation(
    image: NDArray[np.uint8],
    views: Sequence[View],
    captions: Sequence[str],
    probabilities: Mapping[str, float],
    verdict: str = "",
) -> Figure:
    """A picture, and how its first class was seen in it: a row for each view that the model had.

    Args:
        image: uint8 (H, W, 3) of any size.
        views: what the model saw, uint8 (S, S, 3); class-activation map (S, S) in [0, 1], whose
            panel is left out where it is None; occlusion map (S, S) in [-1, 1]. See `explain`.
        captions: how each view was made of the picture.
        probabilities: class to probability in [0, 1], the most probable first.
        verdict: what stands above them.
    """
    best = next(iter(probabilities))
    pictures = 3 if views[0][1] is None else 4
    figure = Figure(figsize=(2.6 * pictures + 3.4, 3.4 * len(views)))
    panels = figure.subplots(
        len(views), pictures + 1, squeeze=False, width_ratios=[1] * pictures + [1.4]
    )
    draw_image(panels[0, 0], image, "the picture")
    _draw_bars(panels[0, -1], probabilities)
    panels[0, -1].set_title(verdict, fontsize=10)
    for axes in (*panels[1:, 0], *panels[1:, -1]):
        axes.set_axis_off()
    for row, view, caption in zip(panels, views, captions, strict=True):
        _draw_view(row[1:-1], view, caption, best)
    return figure


def _draw_view(panels: NDArray[Any], view: View, caption: str, best: str) -> None:
    """What the model saw, where features say its class, what covering costs."""
    image, activation, occlusion = view
    draw_image(panels[0], image, "as the model saw it")
    panels[0].set_xlabel(fill(caption, 34), fontsize=8)
    if activation is not None:
        _draw_over(panels[1], image, f"features that say {best}")
        panels[1].imshow(activation, cmap=HEAT, vmin=0, vmax=1, interpolation="bilinear")
    most = float(np.abs(occlusion).max())
    strongest = float(occlusion.flat[np.abs(occlusion).argmax()])
    verb = "costs" if strongest >= 0 else "adds"
    _draw_over(panels[-1], image, f"covered: {verb} up to {100 * most:.0f} points")
    limit = max(most, 1e-6)
    panels[-1].imshow(occlusion, cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="bilinear")
    panels[-1].set_xlabel(f"orange speaks for {best}, blue against", fontsize=8)


def _draw_over(axes: Axes, image: NDArray[np.uint8], title: str) -> None:
    """The image in pale grey, for a map in colours to lie on."""
    grey = image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    draw_image(axes, (255 - 0.75 * (255 - grey)).astype(np.uint8), title)


def _draw_bars(axes: Axes, probabilities: Mapping[str, float]) -> None:
    names, values = list(probabilities), list(probabilities.values())
    places, colours = np.arange(len(names)), [TRAIN] + [FAINT] * (len(names) - 1)
    drawn = axes.barh(places, values, color=colours, height=0.7)
    axes.bar_label(drawn, [f"{100 * p:.1f} %" for p in values], padding=4)
    axes.set_yticks(places, [*map(shortened, names)])
    axes.set_xlim(0, 1.25)  # room for the label of a full bar
    axes.xaxis.set_major_locator(NullLocator())
    axes.spines["bottom"].set_visible(False)
    axes.invert_yaxis()


@rc_context(STYLE)
def reliability_diagram(
    edges: NDArray[np.float64],
    share: NDArray[np.float64],
    confidence: NDArray[np.float64],
    accuracy: NDArray[np.float64],
) -> Figure:
    """Share right over confidence, and below it how many of the images have that confidence.

    Args:
        edges: (B, 2) of the bins that hold images, in [0, 1].
        share: (B,) of the images that are in each.
        confidence: (B,) their mean confidence.
        accuracy: (B,) the share of them that is right.
    """
    figure = Figure(figsize=(4.4, 4.6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1.2, label="as sure as right")
    # A dot grows with its images, but stays to be seen.
    above.scatter(confidence, accuracy, 15 + 150 * share, color=TRAIN, zorder=3)
    above.plot(confidence, accuracy, color=TRAIN, linewidth=1.2, label="this run")
    above.set(ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left")
    below.bar(edges[:, 0], share, edges[:, 1] - edges[:, 0], align="edge", color=TRAIN)
    below.set(xlabel="confidence", ylabel="images")
    for axis in (above.xaxis, above.yaxis, below.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    return figure


@rc_context(STYLE)
def risk_coverage(
    coverage: NDArray[np.float64],
    risk: NDArray[np.float64],
    marks: Mapping[str, tuple[float, float]],
) -> Figure:
    """Share of mistakes over the share of images that is answered.

    Args:
        coverage, risk: (K,) in [0, 1], the surest first.
        marks: name of a threshold to its coverage and risk.
    """
    figure = Figure(figsize=(4.4, 4.6))
    axes = figure.subplots()
    axes.plot(coverage, risk, color=TRAIN)
    for name, (x, y) in marks.items():
        axes.plot(x, y, "o", color=SERIES[1], markersize=8)
        axes.annotate(name, (x, y), (-6, 6), textcoords="offset points", ha="right")
    axes.set(xlabel="share answered", ylabel="share of them wrong", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    return figure


@rc_context(STYLE)
def known_scores(
    edges: Sequence[float],
    known: Sequence[float],
    sets: Mapping[str, Sequence[float]],
    threshold: float,
    score: str,
) -> Figure:
    """How the score that decides `known` is spread over known images and over other pictures.

    Args:
        edges: (B + 1,) of bins of the score.
        known: (B,) shares of the known images in them.
        sets: name to (B,) shares of a set's pictures in them.
        threshold: below it a picture is called unknown; a dotted line.
        score: what it is, under the axis.
    """
    figure = Figure(figsize=(5.6, 3.6))
    axes = figure.subplots()
    axes.stairs(known, edges, fill=True, color=FAINT, label="images of the classes")
    for i, (name, shares) in enumerate(sets.items()):
        line = axes.stairs(shares, edges, linewidth=1.6)
        line.set(color=SERIES[i % len(SERIES)], linestyle=DASHES[i % len(DASHES)])
        line.set_label(name.lstrip("_"))  # one that begins so is left out of the legend
    axes.axvline(threshold, color=INK, linestyle=":", linewidth=1.2, label="threshold")
    axes.set(xlabel=score, ylabel="share of them")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes.legend(fontsize=8)
    return figure


@rc_context(STYLE)
def ladder_steps(
    names: Sequence[str],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    seconds: Sequence[float],
) -> Figure:
    """What each step of a ladder gives, from the bottom up, and what it costs to train.

    Args:
        names: (R,) of the rungs, the first one first.
        accuracies: (R,) in [0, 1].
        intervals: (R,) of low and high.
        seconds: (R,) of one training.
    """
    rungs = np.arange(1, len(names) + 1)
    figure = Figure(figsize=(9.6, 1.3 + 0.3 * len(names)))
    steps, costs = figure.subplots(1, 2, sharey=False, width_ratios=(1.25, 1))
    means = np.array(accuracies)
    lows, highs = np.array(intervals, float).T
    reach = np.abs([means - lows, highs - means])
    steps.errorbar(means, rungs, xerr=reach, fmt="o", color=TRAIN, ecolor=FAINT, elinewidth=3)
    steps.plot(means, rungs, color=TRAIN, linewidth=1)
    steps.set_yticks(rungs, [f"{name}  {i}" for i, name in zip(rungs, names, strict=True)])
    steps.grid(axis="x", color=FAINT, linewidth=0.5)
    steps.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    steps.set_xlabel("accuracy")
    costs.plot(seconds, means, "o", color=TRAIN)
    for i, x, y in zip(rungs, seconds, means, strict=True):
        # Neighbours cost nearly the same: their numbers stand on either side.
        side, align = (6, "left") if i % 2 else (-6, "right")
        offset = {"textcoords": "offset points", "xytext": (side, -3), "ha": align}
        costs.annotate(str(i), (x, y), fontsize=8, **offset)
    costs.set(xlabel="seconds of training", ylabel="accuracy", xlim=(0, 1.12 * max(seconds)))
    costs.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    costs.grid(color=FAINT, linewidth=0.5)
    return figure
