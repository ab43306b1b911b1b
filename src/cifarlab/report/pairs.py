"""Runs that answered the same images: which is better by a paired test, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cifarlab.answers import Answers
from cifarlab.compare import Contestant, Pair, against_first, cost, named, p_text, same_images
from cifarlab.compare.pairs import LEVEL
from cifarlab.errors import CifarlabError
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import count, duration, interval, number, percent
from cifarlab.run import Run

Named = tuple[str, Facts]


def paired(evaluated: Sequence[Named]) -> list[Pair]:
    """The most accurate run against each other one that answered the same images, best first.

    The best was found by these answers, so p-values are by Holm over the pairs of any two runs.
    """
    known = [item for item in _ranked(evaluated) if item[1].predictions is not None]
    if not known:
        return []
    best, *others = [(facts, _answers(name, facts)) for name, facts in known]
    same = [best] + [each for each in others if _alike(best, each)]
    labels, names = best[1].labels, tuple(best[0].class_names)
    if len(same) < 2 or labels is None:
        return []
    contestants = [Contestant(answers.name, (answers,), names) for _, answers in same]
    return against_first(contestants, labels, first_is_best=True)


def verdicts_over_seeds(groups: Sequence[Sequence[Facts]]) -> list[str]:
    """What Welch's interval says of recipes that have several seeds each, the best mean first."""
    several = [group for group in groups if all(facts.predictions is not None for facts in group)]
    read = [[(facts, _answers(facts.name, facts)) for facts in group] for group in several]
    first = read[0][0] if read else None
    read = [group for group in read if first and all(_alike(first, each) for each in group)]
    if len(read) < 2 or first is None or first[1].labels is None:
        return []
    members = [tuple(answers for _, answers in group) for group in read]
    contestants = [
        Contestant(name, group, tuple(first[0].class_names))
        for name, group in zip(named(members), members, strict=True)
    ]
    contestants.sort(key=lambda each: -each.accuracy)
    pairs = against_first(contestants, first[1].labels, first_is_best=True)
    return [pair.sentence(first[0].split) for pair in pairs]


def paired_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """A row a pair, of the other run against the best."""
    rows = []
    for pair in pairs:
        n = len(pair.labels)
        difference, low, high = pair.interval
        adjusted = pair.test.p_value if pair.p_holm is None else pair.p_holm
        rows.append(
            {
                "name": pair.b.name,
                "points": f"{100 * difference:.2f}",
                "interval": f"{100 * low:.2f} to {100 * high:.2f}",
                "only_best": count(len(pair.only_a)),
                "only_this": count(len(pair.only_b)),
                "same": percent(pair.agreement, n),
                "p": p_text(pair.test.p_value).removeprefix("= "),
                "p_holm": p_text(adjusted).removeprefix("= "),
                "verdict": "worse" if pair.different else "undecided",
            }
        )
    return rows


def class_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """A row a class, with a cell a pair: the other run's recall less the best's, and how sure."""
    if not pairs:
        return []
    of_pairs = [pair.classes for pair in pairs]
    return [
        {
            "name": name,
            "support": count(known["support"]),
            "cells": [_class_cell(classes[name]) for classes in of_pairs],
        }
        for name, known in of_pairs[0].items()
    ]


def cost_rows(every: Sequence[Named]) -> list[dict[str, Any]]:
    """Quality beside cost, the quickest training first; marked where no run is better in both."""
    costs = [(name, facts, cost(Run(facts.path))) for name, facts in every]
    costs = [item for item in costs if item[2]["train_seconds"] is not None and item[1].figures]
    costs.sort(key=lambda item: item[2]["train_seconds"])
    rows, highest = [], -np.inf
    for name, facts, spent in costs:
        figures, speed = facts.figures, spent["images_per_second"]
        rows.append(
            {
                "name": name,
                "training": duration(spent["train_seconds"]),
                "parameters": count(spent["parameters"]),
                "speed": "–" if speed is None else count(speed),
                "accuracy": percent(figures["accuracy"], figures["n"]),
                "interval": interval(figures["accuracy_ci95"], figures["n"]),
                "loss": number(figures.get("loss")),
                "lead": figures["accuracy"] > highest,
            }
        )
        highest = max(highest, figures["accuracy"])
    return rows


def _class_cell(figures: dict[str, Any]) -> dict[str, Any]:
    """One of `metrics.class_differences` as its points, its p in words, and whether it is sure."""
    if not figures["support"]:
        return {"points": "–", "p": "", "lead": False}
    adjusted = figures["p_holm"]
    points = f"{100 * figures['difference']:.2f}"
    return {"points": points, "p": f"p {p_text(adjusted)}", "lead": adjusted <= LEVEL}


def _ranked(evaluated: Sequence[Named]) -> list[Named]:
    return sorted(evaluated, key=lambda item: -item[1].figures["accuracy"])


def _answers(name: str, facts: Facts) -> Answers:
    """What the facts already hold, in the form that is compared."""
    kept = facts.predictions or {}
    logits, labels = kept["logits"].astype(np.float64), kept["labels"].astype(np.int64)
    known = tuple(facts.class_names)
    return Answers(
        *(name, facts.path, logits.argmax(axis=1), labels, known, logits, facts.temperature),
        run=Run(facts.path),
    )


def _alike(first: tuple[Facts, Answers], other: tuple[Facts, Answers]) -> bool:
    """Whether both answered the same images."""
    split = first[0].measured
    if split != other[0].measured:
        return False
    try:
        same_images([first[1], other[1]], split)
    except CifarlabError:
        return False
    return True
