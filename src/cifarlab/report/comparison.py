"""The values that the page of several runs is filled with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from cifarlab import plots
from cifarlab.compare import Pair
from cifarlab.compare.curves import accuracy_column
from cifarlab.metrics import mean_interval, spread
from cifarlab.report.embed import figure_svg
from cifarlab.report.facts import Facts
from cifarlab.report.flips import flipped
from cifarlab.report.numbers import SPACE, count, duration, interval, listed, number, percent
from cifarlab.report.pairs import class_rows, cost_rows, paired, paired_rows, verdicts_over_seeds
from cifarlab.report.records import commands, flat, shown_path

# Of these records only what differs is worth a row.
RECORDS: dict[str, Callable[[Facts], list[tuple[str, str]]]] = {
    "recipe": lambda facts: flat(facts.recipe),
    "data": lambda facts: flat(facts.data),
    "environment": lambda facts: flat(facts.environment),
}
CHANGING = {"recipe": {"summary"}, "data": set(), "environment": {"command", "date"}}


def comparison_context(every: Sequence[Facts]) -> dict[str, Any]:
    """Everything that ``comparison.html`` shows of the runs, in the order they were given."""
    labels = _labels(every)
    evaluated = [(name, facts) for name, facts in zip(labels, every, strict=True) if facts.figures]
    pairs, groups, costs = paired(evaluated), _groups(every), cost_rows(evaluated)
    return {
        "title": f"{len(every)} runs compared: {listed(labels)}",
        "sections": [
            ("result", "Result"),
            *([("pairs", "Pair by pair")] if pairs else []),
            *([("cost", "Cost")] if costs else []),
            *([("classes", "Classes")] if evaluated else []),
            ("learning", "Learning"),
            ("differences", "Differences"),
            ("reproduce", "Do it again"),
        ],
        "names": labels,
        "opening": verdicts_over_seeds(groups) + _opening(evaluated, len(every), pairs),
        "notices": _notices(evaluated),
        "rows": [_row(name, facts) for name, facts in zip(labels, every, strict=True)],
        "best": pairs[0].a.name if pairs else "",
        "pairs": paired_rows(pairs),
        "flips": flipped(pairs, dict(evaluated)),
        "costs": costs,
        "seeds": _seeds(groups),
        "curve": _curve(labels, every),
        "classes": _classes(evaluated),
        "class_pairs": class_rows(pairs),
        "evaluated": [name for name, _ in evaluated],
        "differences": {kind: _differences(kind, every) for kind in RECORDS},
        "commands": [command for facts in every for command in commands(facts)],
    }


def _labels(every: Sequence[Facts]) -> list[str]:
    """The runs' names; their paths, where two runs have the same name."""
    names = [facts.name for facts in every]
    return [
        name if names.count(name) == 1 else shown_path(facts.path)
        for name, facts in zip(names, every, strict=True)
    ]


def _opening(
    evaluated: Sequence[tuple[str, Facts]], total: int, pairs: Sequence[Pair]
) -> list[str]:
    """Which is ahead, by how much, and whether that is more than chance: by the paired test where
    both answered the same images, else by their intervals.
    """
    if not evaluated:
        return [f"None of these {total} runs has been evaluated yet."]
    best, *others = sorted(evaluated, key=lambda item: -item[1].figures["accuracy"])
    figures = best[1].figures
    share = percent(figures["accuracy"], figures["n"])
    images = count(figures["n"], f"{best[1].split} image")
    sentences = [f"{best[0]} has the highest accuracy, {share} of {images}."]
    verdict = {pair.b.name: pair.sentence(best[1].split) for pair in pairs}
    if others and others[0][0] in verdict:
        sentences.insert(0, verdict[others[0][0]])
    elif others:
        name, next_best = others[0][0], others[0][1].figures
        gap = 100 * (figures["accuracy"] - next_best["accuracy"])
        sentences.append(f"{name} follows, {gap:.2f}{SPACE}points behind.")
        if next_best["accuracy_ci95"][1] < figures["accuracy_ci95"][0]:
            sentences.append(
                "Their 95 % intervals do not overlap: the draw of test images hardly explains it."
            )
        else:
            sentences.append(
                "Their 95 % intervals overlap: these figures alone cannot tell which is better."
            )
    if len(evaluated) < total:
        sentences.append(f"{total - len(evaluated)} of the {total} runs have not been evaluated.")
    return sentences


def _notices(evaluated: Sequence[tuple[str, Facts]]) -> list[str]:
    """What makes the figures not comparable."""
    notices = []
    if len({facts.data.get("fingerprint") for _, facts in evaluated}) > 1:
        notices.append(
            "These runs used different data: their accuracies answer different questions."
        )
    if len({facts.split for _, facts in evaluated}) > 1:
        notices.append("These figures are of different splits and should not be compared.")
    if len({facts.result.get("tta") or "none" for _, facts in evaluated}) > 1:
        notices.append("Test-time augmentation differs between these runs; see the table.")
    return notices


def _row(name: str, facts: Facts) -> dict[str, Any]:
    """One run in the table of results."""
    row: dict[str, Any] = {
        "name": name,
        "recipe": facts.recipe.get("name", ""),
        "loss": number(facts.figures.get("loss")) if facts.figures else "–",
        "ece": percent(facts.figures.get("ece")) if facts.figures else "–",
        "n": count(facts.figures["n"]) if facts.figures else "–",
        "tta": facts.result.get("tta") or "–",
        "epochs": count(facts.result.get("epochs_run") or len(facts.history)),
        "parameters": count(facts.result.get("parameters")),
        "time": duration(facts.seconds.get("train")),
    }
    if not facts.figures:
        return row | {"accuracy": {"text": "not evaluated", "note": ""}}
    low, high = facts.figures["accuracy_ci95"]
    accuracy, n = facts.figures["accuracy"], facts.figures["n"]
    ruler = {"at": 100 * accuracy, "low": 100 * low, "width": 100 * (high - low)}
    text = {"text": percent(accuracy, n), "note": interval((low, high), n)}
    return row | {"accuracy": text | ruler}


def _groups(every: Sequence[Facts]) -> list[list[Facts]]:
    """Runs of one recipe on the same data with several seeds, one of each seed."""
    groups: dict[str, dict[Any, Facts]] = {}
    for facts in every:
        if facts.figures:
            same = [
                facts.recipe,
                facts.data.get("fingerprint"),
                facts.split,
                facts.result.get("tta"),
            ]
            group = groups.setdefault(json.dumps(same, sort_keys=True, default=str), {})
            group.setdefault(facts.result.get("seed"), facts)
    return [[*group.values()] for group in groups.values() if len(group) > 1]


def _seeds(groups: Sequence[Sequence[Facts]]) -> list[dict[str, str]]:
    """Of each recipe mean, interval and spread over its seeds."""
    rows = []
    for group in groups:
        accuracies = [facts.figures["accuracy"] for facts in group]
        mean, low, high = mean_interval(accuracies, within=(0, 1))
        apart = spread(accuracies)
        rows.append(
            {
                "recipe": str(group[0].recipe.get("name", "")),
                "n": count(len(group), "seed"),
                "mean": percent(mean, group[0].figures["n"]),
                "interval": interval((low, high), group[0].figures["n"]),
                "deviation": f"{100 * (apart['deviation'] or 0):.2f}{SPACE}points",
                "range": interval((apart["minimum"], apart["maximum"]), group[0].figures["n"]),
            }
        )
    return rows


def _curve(labels: Sequence[str], every: Sequence[Facts]) -> dict[str, Any] | None:
    """Accuracy of all runs over epochs: validation's where any run has it, else training's."""
    histories = {
        name: facts.history for name, facts in zip(labels, every, strict=True) if facts.history
    }
    if not histories:
        return None
    column = accuracy_column(histories.values())
    kind = "training" if column == "accuracy" else "validation"
    ends = [
        f"{name} ends at {percent(rows[-1].get(column))} after {count(len(rows), 'epoch')}"
        for name, rows in histories.items()
    ]
    words = f"{kind.capitalize()} accuracy over epochs: {'; '.join(ends)}."
    figure = plots.curves_together(histories, column)
    return {"svg": figure_svg(figure, "curves", words), "kind": kind, "words": words}


def _classes(evaluated: Sequence[tuple[str, Facts]]) -> list[dict[str, Any]]:
    """Recall by class (rows) and run (columns), the best of a row marked."""
    names = list(dict.fromkeys(name for _, facts in evaluated for name in facts.class_names))
    rows = []
    for name in names:
        of_runs = [facts.figures["per_class"].get(name) for _, facts in evaluated]
        recalls = [entry["recall"] if entry and entry["support"] else None for entry in of_runs]
        best = max((recall for recall in recalls if recall is not None), default=None)
        cells = [
            {"text": "–" if recall is None else percent(recall), "lead": recall == best is not None}
            for recall in recalls
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _differences(kind: str, every: Sequence[Facts]) -> list[tuple[str, list[str]]]:
    """The rows of a record that are not the same in all runs."""
    records = [dict(RECORDS[kind](facts)) for facts in every]
    keys = dict.fromkeys(key for record in records for key in record if key not in CHANGING[kind])
    rows = [(key, [record.get(key, "–") for record in records]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
