"""What the comparisons make of rows (see `competitors.py`): figures, a table, a plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from competitors import Row
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from cifarlab.metrics import mean_interval
from cifarlab.plots import SERIES, STYLE, save_png

CLOCKS = {
    "training": "from the first line of training code, evaluation by epoch left out",
    "command": "from the start of the command, everything included",
}
ROUNDING = 1e-6  # a peer's accuracy is a float32: 9,400 of 10,000 is 0.93999999762


def seconds_to(row: Row, accuracy: float | None, clock: str) -> float | None:
    """When the run first reached `accuracy` (in [0, 1]; None: its end); None if it never did."""
    for measured in row["curve"][-1:] if accuracy is None else row["curve"]:
        value = measured["accuracy"]
        if accuracy is None or (value is not None and value >= accuracy - ROUNDING):
            return measured["seconds"][clock]
    return None


def summarize(rows: Sequence[Row], names: Iterable[str], first: str | None, goals: list) -> dict:
    """Competitor to its figures.

    Args:
        rows: all runs.
        names: the competitors in the table's order.
        first: the one that ratios are taken to; None for no ratios.
        goals: accuracies in [0, 1] to be reached; the end of the run is added to them.
    """
    own = {name: [row for row in rows if row["competitor"] == name] for name in names}
    others = own[first] if first else []
    summary = {}
    for name, runs in own.items():
        if not runs:
            continue
        rates = [row["images_per_second"] for row in runs if row["images_per_second"]]
        summary[name] = {
            **summarize_accuracy(runs),
            "images_per_second": sum(rates) / len(rates) if rates else None,
            "peak_memory_bytes": max(row["peak_memory_bytes"] for row in runs),
            "seconds": {
                clock: {
                    "end" if goal is None else f"{goal:g}": to_goal(runs, others, goal, clock)
                    for goal in [None, *goals]
                }
                for clock in CLOCKS
            },
        }
    return summary


def summarize_accuracy(runs: Sequence[Row]) -> Row:
    """Mean over runs and its 95 % interval, which one run has not."""
    mean, low, high = mean_interval([row["accuracy"] for row in runs])
    interval = None if low is None else [low, high]
    return {"n": len(runs), "accuracy_mean": mean, "accuracy_ci95": interval}


def to_goal(runs: list[Row], others: list[Row], goal: float | None, clock: str) -> Row:
    """Mean seconds of those of `runs` that reached the goal, and their ratio to `others`."""
    theirs = {row["seed"]: seconds_to(row, goal, clock) for row in others}
    reached, logs = [], []
    for row in runs:
        seconds, other = seconds_to(row, goal, clock), theirs.get(row["seed"])
        if seconds is not None:
            reached.append(seconds)
            logs += [math.log(seconds / other)] if other else []
    return {
        "reached": len(reached),
        "mean": sum(reached) / len(reached) if reached else None,
        "ratio": math.exp(sum(logs) / len(logs)) if logs else None,
        "rounds_compared": len(logs),
    }


def tabulate(summary: dict[str, Row], clock: str) -> list[list[str]]:
    """The table's lines by one clock, the header first."""
    lines: list[list[str]] = []
    for name, figures in summary.items():
        goals = figures["seconds"][clock]
        header = ["competitor", "n", "accuracy", "images/s", "peak GiB"]
        header += [k if k == "end" else f"{100 * float(k):g} %" for k in goals]
        lines = lines or [header]
        rate = figures["images_per_second"]
        line = [name, str(figures["n"]), show_accuracy(figures), f"{rate:.0f}" if rate else "-"]
        line += [f"{figures['peak_memory_bytes'] / 2**30:.2f}"]
        lines.append(line + [show_goal(goal, figures["n"]) for goal in goals.values()])
    return lines


def show_accuracy(figures: Row) -> str:
    mean, interval = figures["accuracy_mean"], figures["accuracy_ci95"]
    half = f" ± {50 * (interval[1] - interval[0]):.2f}" if interval else ""
    return f"{100 * mean:.2f}{half}"


def show_goal(goal: Row, n: int) -> str:
    """Seconds, then the ratio to the first peer as ×0.50, then how many runs got there."""
    if goal["mean"] is None:
        return "-"
    words = [f"{goal['mean']:.1f}"]
    words += [f"×{goal['ratio']:.2f}"] if goal["ratio"] is not None else []
    words += [f"({goal['reached']} of {n})"] if goal["reached"] < n else []
    return " ".join(words)


def print_table(lines: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *rest = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        print("  ".join([line[0].ljust(len(first)), *rest]))


def plot(rows: Sequence[Row], names: Sequence[str], path: Path) -> None:
    """Accuracy over the training clock: a line a run in its competitor's colour, its end a dot."""
    with rc_context(STYLE):
        figure = Figure(figsize=(8, 4.6))
        axes = figure.subplots()
        for i, name in enumerate(names):
            colour, label = SERIES[i % len(SERIES)], name
            for row in (row for row in rows if row["competitor"] == name):
                measured = [p for p in row["curve"] if p["accuracy"] is not None]
                seconds = [p["seconds"]["training"] for p in measured]
                accuracies = [100 * p["accuracy"] for p in measured]
                axes.plot(seconds, accuracies, color=colour, linewidth=1.4, label=label)
                axes.plot(seconds[-1], accuracies[-1], "o", color=colour)
                label = f"_{name}"  # one entry a competitor: an underscore hides the others
        axes.set(xscale="log", xlabel="seconds of training", ylabel="accuracy, %")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:,g}"))
        axes.legend(title="validation (ours) or test (peers); dot: test")
        save_png(figure, path)
