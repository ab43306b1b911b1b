"""How good each class is, and which is taken for which."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from cifarlab import plots
from cifarlab.metrics import confusion_shares, wilson_interval
from cifarlab.report import sentences
from cifarlab.report.embed import figure_uri
from cifarlab.report.facts import Facts
from cifarlab.report.gallery import cell_images
from cifarlab.report.numbers import count, interval, percent, quoted

LARGEST_TABLE = 20  # classes: a larger confusion matrix is a picture
DEEP = 0.83  # share from which a cell is so deep that its number must be of the other ink


def class_rows(facts: Facts) -> list[dict[str, Any]]:
    """Per class, best F1 first: recall and precision with their intervals, F1, support."""
    if not facts.figures:
        return []
    index = {name: i for i, name in enumerate(facts.class_names)}
    predicted = facts.matrix.sum(axis=0)
    per_class = facts.figures["per_class"]
    rows = []
    for name in sorted(per_class, key=lambda name: -per_class[name]["f1"]):
        of_class, i = per_class[name], index[name]
        hits, support = int(facts.matrix[i, i]), int(of_class["support"])
        rows.append(
            {
                "name": name,
                "recall": _share(of_class["recall"], hits, support, "no images"),
                "precision": _share(
                    of_class["precision"], hits, int(predicted[i]), "never predicted"
                ),
                "f1": percent(of_class["f1"]) if support else "–",
                "support": count(support),
                "roc_auc": _area(facts, "roc_auc", name),
                "average_precision": _area(facts, "average_precision", name),
            }
        )
    return rows


def _area(facts: Facts, figure: str, name: str) -> str:
    """An area of a class; a dash where it cannot be measured or was not."""
    value = (facts.figures.get(figure) or {}).get(name)
    return "–" if value is None else f"{value:.3f}"


def _share(value: float, hits: int, whole: int, nothing: str) -> dict[str, Any]:
    """A share with its interval as text, and as places on a ruler from 0 to 100."""
    if not whole:
        return {"text": "–", "note": nothing}
    low, high = wilson_interval(hits, whole)
    return {
        "text": percent(value),
        "note": interval((low, high)),
        "at": 100 * value,
        "low": 100 * low,
        "width": 100 * (high - low),
    }


def confusion(facts: Facts) -> dict[str, Any] | None:
    """The matrix as a table of counts and shares, or as a picture where there are many classes."""
    if not facts.figures:
        return None
    names, images = facts.class_names, cell_images(facts)
    pairs: list[dict[str, Any]] = [
        {
            "cell": (names.index(pair.true), names.index(pair.predicted)),
            "words": f"{pair.words}: {count(pair.times)} of {count(pair.support)} "
            f"({percent(pair.share)})",
        }
        for pair in sentences.confusions(facts, 8)
    ]
    if len(names) > LARGEST_TABLE:
        listed = {pair["cell"] for pair in pairs}
        picture = figure_uri(plots.confusion(facts.matrix, names))
        return {"pairs": pairs, "opened": _opened(facts, images, listed), "picture": picture}
    rows = enumerate(confusion_shares(facts.matrix))
    return {
        "pairs": pairs,
        "opened": _opened(facts, images, images),
        "names": names,
        "rows": [{"name": names[i], "cells": _cells(facts, i, shares)} for i, shares in rows],
    }


def _cells(facts: Facts, i: int, shares: np.ndarray) -> list[dict[str, Any]]:
    """One row of the matrix: what the images of class `i` are called."""
    names, row = facts.class_names, facts.matrix[i]
    support = int(row.sum())
    return [
        {
            "times": int(times),
            "depth": _depth(share, right=i == j),
            "right": i == j,
            "deep": i == j and share > DEEP,
            "title": (f"{names[i]} taken for {names[j]}" if i != j else f"{names[i]} found")
            + f": {count(int(times))} of {count(support)} ({percent(share)})",
            "cell": (i, j),
        }
        for j, (times, share) in enumerate(zip(row, shares, strict=True))
    ]


def _opened(
    facts: Facts,
    images: Mapping[tuple[int, int], list[dict[str, Any]]],
    wanted: Collection[tuple[int, int]],
) -> dict[tuple[int, int], dict[str, Any]]:
    """What opens when a cell is chosen: its images, and how many there are of how many."""
    names = facts.class_names
    return {
        (i, j): {
            "title": f"{quoted(names[i])} taken for {quoted(names[j])}",
            "words": f"{count(len(some))} of {count(int(facts.matrix[i, j]), 'image')}",
            "images": some,
        }
        for (i, j), some in sorted(images.items())
        if (i, j) in wanted
    }


def _depth(share: float, right: bool) -> float:
    """How deep a cell's colour is, in [0, 1]; mistakes are few, so theirs are deepened."""
    return float(share if right else min(1.0, 4 * share))
