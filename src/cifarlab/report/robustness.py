"""What is left of the accuracy when images go bad: robustness.json on the page."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from cifarlab import panels
from cifarlab.errors import RunError
from cifarlab.report.embed import figure_svg
from cifarlab.report.facts import SPLITS, Facts
from cifarlab.report.numbers import count, interval, listed, percent


def robustness(facts: Facts) -> dict[str, Any] | None:
    """The section on corrupted images; None where they have not been measured.

    Raises:
        RunError: robustness.json is not as `cifarlab robustness` writes it.
    """
    if facts.robustness is None:
        return None
    found = facts.robustness
    try:
        by_kind: dict[str, dict[str, Any]] = {}
        for name, row in found["corruptions"].items():
            by_kind.setdefault(str(row["kind"]), {})[name] = row
        return {
            "words": _words(found),
            "severities": found["severities"],
            "images": _images(found),
            "rows": [
                _row(found, kind, n, r) for kind, rows in by_kind.items() for n, r in rows.items()
            ],
            "plots": [
                _plot(found, kind, i, rows) for i, (kind, rows) in enumerate(by_kind.items())
            ],
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{facts.path / 'robustness.json'} is damaged: {error!r}") from error


def _words(found: Any) -> list[str]:
    """How much is left, and against what it has no defence."""
    clean = found["clean"]["accuracy"]
    sentences = [f"Of {_images(found)} it has {percent(clean)} right as they are."]
    mean = found["mean_corruption_accuracy"]
    if mean is not None:
        bounds = interval(found.get("mean_corruption_accuracy_ci95"))
        sentences.append(
            f"Corrupted, {percent(mean)} on average stay right (95 % interval {bounds})."
        )
    ranking = sorted(found["corruptions"].items(), key=lambda item: item[1]["mean_accuracy"])
    few = min(3, len(ranking) // 2)
    if few:
        sentences.append(
            f"It suffers most from {_named(ranking[:few])}, and least from "
            f"{_named(ranking[: -few - 1 : -1])}."
        )
    return sentences


def _images(found: Any) -> str:
    split = SPLITS.get(found["split"], found["split"])
    drawn = count(found["n"], f"{split} image")
    if found.get("images_in_split") in (None, found["n"]):
        return drawn
    return f"{drawn}, drawn at random from {count(found['images_in_split'])},"


def _named(rows: list[tuple[str, Any]]) -> str:
    return listed([f"{_plain(name)} ({percent(row['mean_accuracy'])})" for name, row in rows])


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _row(found: Any, kind: str, name: str, row: Any) -> dict[str, Any]:
    cells = [row["by_severity"][str(severity)] for severity in found["severities"]]
    return {
        "name": _plain(name),
        "kind": kind,
        "cells": [
            {
                "text": f"{100 * cell['accuracy']:.0f}",
                "lost": max(0.0, found["clean"]["accuracy"] - cell["accuracy"]),
                "title": f"95 % interval {interval(cell['accuracy_ci95'])}",
            }
            for cell in cells
        ],
        "mean": percent(row["mean_accuracy"]),
    }


def _plot(found: Any, kind: str, i: int, rows: dict[str, Any]) -> Markup:
    """Accuracy over severity of the corruptions of a kind."""
    lines = {
        name: [row["by_severity"][str(severity)]["accuracy"] for severity in found["severities"]]
        for name, row in rows.items()
    }
    figure = panels.robustness_curves(
        {kind: lines}, found["severities"], found["clean"]["accuracy"]
    )
    ends = [f"{_plain(name)} {percent(values[-1])}" for name, values in lines.items()]
    words = f"Accuracy under {kind} at the highest severity: {', '.join(ends)}."
    return figure_svg(figure, f"robustness-{i}", words)
