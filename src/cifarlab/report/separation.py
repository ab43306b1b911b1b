"""How well it tells pictures of something else: unknowns.json on the page."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from cifarlab import panels
from cifarlab.errors import RunError
from cifarlab.report.embed import figure_svg
from cifarlab.report.facts import SPLITS, Facts
from cifarlab.report.numbers import count, interval, percent
from cifarlab.unknowns.separation import SCORES


def separation(facts: Facts) -> dict[str, Any] | None:
    """What was measured of `known`; None where nothing was.

    Raises:
        RunError: unknowns.json is not as `cifarlab evaluate --unknown` writes it.
    """
    if facts.unknowns is None:
        return None
    found = facts.unknowns
    try:
        split = SPLITS.get(found["split"], found["split"])
        images = count(found["known"]["n"], f"{split} image")
        return {
            "words": _words(found, images),
            "images": images,
            "rows": [_row(name, each) for name, each in found["sets"].items()],
            "plot": _plot(found),
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{facts.path / 'unknowns.json'} is damaged: {error!r}") from error


def _words(found: Any, images: str) -> list[str]:
    """How many images of the classes are refused, and which set is told worst."""
    known = found["known"]
    refused = (
        f"Of {images}, {percent(known['refused'])} (95 % interval "
        f"{interval(known['refused_ci95'])}) are called unknown"
    )
    if found["split"] == "val":
        refused += "; the threshold was chosen on these"
    name, worst = max(found["sets"].items(), key=lambda item: item[1]["passed"])
    passed = f"Of the pictures of something else, {percent(worst['passed'])} of {name} pass"
    if len(found["sets"]) > 1:
        passed += ", the most of any set"
    return [f"{refused}.", f"{passed}."]


def _row(name: str, each: Any) -> dict[str, Any]:
    return {
        "name": name,
        "n": count(each["n"]),
        "auroc": {
            "text": f"{each['auroc']:.3f}",
            "note": " to ".join(f"{bound:.3f}" for bound in each["auroc_ci95"]),
            **_places(each["auroc"], each["auroc_ci95"]),
        },
        "passed": {
            "text": percent(each["passed"]),
            "note": interval(each["passed_ci95"]),
            **_places(each["passed"], each["passed_ci95"]),
        },
    }


def _places(value: float, bounds: tuple[float, float]) -> dict[str, float]:
    """Of a figure from 0 to 1 and its interval, on a ruler from 0 to 100."""
    low, high = bounds
    return {"at": 100 * value, "low": 100 * low, "width": 100 * (high - low)}


def _plot(found: Any) -> Markup:
    """The scores' histogram."""
    bins = found["histogram"]
    score = SCORES.get(found["score"], found["score"])
    figure = panels.known_scores(
        bins["edges"], bins["known"], bins["sets"], found["threshold"], score
    )
    passed = [f"{name} {percent(each['passed'])}" for name, each in found["sets"].items()]
    words = f"Histogram of the {score}. At or above the threshold: {', '.join(passed)}."
    return figure_svg(figure, "separation", words)
