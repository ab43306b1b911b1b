"""How good each class is, and which is taken for which."""

from __future__ import annotations

from typing import Any

from cifarlab import plots
from cifarlab.metrics import wilson_interval
from cifarlab.report import sentences
from cifarlab.report.embed import figure_uri
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import count, interval, percent

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
                "f1": percent(of_class["f1"]),
                "support": count(support),
            }
        )
    return rows


def _share(value: float, hits: int, whole: int, nothing: str) -> dict[str, Any]:
    """A share with its interval as text, and as places on a ruler from 0 to 100."""
    if not whole:
        return {"text": percent(value), "note": nothing}
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
    pairs = [
        f"{pair.words}: {count(pair.times)} of {count(pair.support)} "
        f"({percent(pair.times / pair.support)})"
        for pair in sentences.confusions(facts, 8)
    ]
    names = facts.class_names
    if len(names) > LARGEST_TABLE:
        return {"pairs": pairs, "picture": figure_uri(plots.confusion(facts.matrix, names))}
    support = facts.matrix.sum(axis=1)
    rows = [
        {
            "name": name,
            "cells": [
                {
                    "times": int(times),
                    "depth": _depth(times / max(support[i], 1), right=i == j),
                    "right": i == j,
                    "deep": i == j and times > DEEP * support[i],
                    "title": f"{name} taken for {names[j]}" if i != j else f"{name} found",
                }
                for j, times in enumerate(facts.matrix[i])
            ],
        }
        for i, name in enumerate(names)
    ]
    return {"pairs": pairs, "names": names, "rows": rows}


def _depth(share: float, right: bool) -> float:
    """How deep a cell's colour is, in [0, 1]; mistakes are few, so theirs are deepened."""
    return float(share if right else min(1.0, 4 * share))
