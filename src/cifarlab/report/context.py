"""The values that the page of one run is filled with: text, numbers as text, pictures as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from cifarlab import plots
from cifarlab.metrics import log_losses, mean_interval
from cifarlab.report import certainty, records, sentences
from cifarlab.report.classes import class_rows, confusion
from cifarlab.report.embed import figure_svg
from cifarlab.report.facts import Facts
from cifarlab.report.gallery import galleries
from cifarlab.report.numbers import SPACE, count, duration, interval, number, percent
from cifarlab.report.robustness import robustness
from cifarlab.report.separation import separation
from cifarlab.report.soundness import soundness
from cifarlab.report.why import explanations
from cifarlab.unknowns.separation import known_rule


def run_context(facts: Facts) -> dict[str, Any]:
    """Everything that ``run.html`` shows of one run."""
    shown = galleries(facts)
    return {
        "title": f"{facts.name}: {facts.recipe.get('name', 'a recipe')} on {facts.dataset}",
        "sections": _sections(facts, shown),
        "facts": facts,
        "opening": sentences.opening(facts),
        "headline": _headline(facts),
        "key_figures": _key_figures(facts),
        "unfinished": not facts.result.get("completed", True),
        "path": records.shown_path(facts.path),
        "curves": curves(facts),
        "hero_curve": _curve(facts, "accuracy", "hero", width=5) if facts.history else None,
        "history": _history_rows(facts),
        "learning": sentences.learning(facts),
        "looks": sentences.looks(facts),
        "classes": class_rows(facts),
        "classes_in_words": sentences.classes(facts) if facts.figures else [],
        "confusion": confusion(facts),
        "areas": any(facts.figures.get(key) for key in ("roc_auc", "average_precision")),
        "galleries": shown,
        "explanations": explanations(facts),
        "calibration": certainty.calibration(facts),
        "unknowns": certainty.unknowns(facts),
        "separation": separation(facts),
        "robustness": robustness(facts),
        "soundness": soundness(facts),
        "missing": missing(facts),
        "model": sentences.model(facts),
        "phases": sentences.phases(facts),
        "recipe": records.recipe_rows(facts),
        "data": records.data_rows(facts),
        "environment": records.environment_rows(facts),
        "reproduce": sentences.reproduction(facts),
        "commands": records.commands(facts),
    }


def _sections(facts: Facts, shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchor and name of the sections that this run's page has."""
    every = {
        "Result": True,
        "Classes": facts.figures,
        "Confusions": facts.figures,
        "Images": shown,
        "Calibration": facts.figures,
        "Unknowns": certainty.unknowns(facts),
        "Robustness": facts.robustness,
        "Audit": facts.audit,
        **dict.fromkeys(("Learning", "Data", "Model", "Recipe", "Environment"), True),
    }
    there = [(name.lower(), name) for name, here in every.items() if here]
    return [*there, ("reproduce", "Do it again"), ("glossary", "Glossary")]


def missing(facts: Facts) -> list[tuple[str, str]]:
    """What this page could hold as well, and the command that makes it; for a finished run."""
    if not facts.result.get("completed", True):
        return []
    run = records.typed(records.shown_path(facts.path))
    where = "" if facts.counts.get("validation", 1) else f" --split {facts.measured}"
    fares = "How it fares on noisy, blurred or moved images"
    further = [
        (facts.robustness, fares, f"robustness {run}{where}"),
        (facts.audit, "Copies, wrong labels and outliers in its data", f"audit {run}"),
    ]
    if known_rule(facts.result)[1] is not None:
        other = f"evaluate {run} --split val --unknown textures"
        further.append((facts.unknowns, "How well it tells pictures of something else", other))
    return [(what, f"cifarlab {words}") for found, what, words in further if found is None]


def curves(facts: Facts) -> dict[str, Markup]:
    """The three learning curves as SVG, by panel; none before the first epoch."""
    if not facts.history:
        return {}
    return {panel: _curve(facts, panel, panel, width=3.6) for panel in plots.PANELS}


def _curve(facts: Facts, panel: str, name: str, width: float) -> Markup:
    figure = plots.learning_curves(facts.history, facts.result.get("best_epoch"), [panel], width)
    return figure_svg(figure, name, _described(facts, panel))


def _described(facts: Facts, panel: str) -> str:
    """The curve for those who do not see it: where each line starts and ends."""
    ends = []
    for column, look in plots.PANELS[panel].items():
        values = [row[column] for row in facts.history if row.get(column) is not None]
        if values:
            show = percent if panel == "accuracy" else number
            ends.append(
                f"{look.get('label', 'it')} goes from {show(values[0])} to {show(values[-1])}"
            )
    title = panel.replace("_", " ").capitalize()
    return f"{title} over {count(len(facts.history), 'epoch')}: {'; '.join(ends) or 'no values'}."


def _history_rows(facts: Facts) -> list[dict[str, Any]]:
    columns = ("seconds", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")
    best = facts.result.get("best_epoch")
    return [
        {
            "epoch": count(row["epoch"]),
            "kept": row["epoch"] == best,
            "cells": [
                "–"
                if row.get(key) is None
                else percent(row[key])
                if key.endswith("accuracy")
                else number(row[key])
                for key in columns
            ],
        }
        for row in facts.history
    ]


def _headline(facts: Facts) -> dict[str, Any] | None:
    """The accuracy, its interval, and where both lie between 0 and 100 percent."""
    if not facts.figures:
        return None
    figures, n = facts.figures, facts.figures["n"]
    low, high = figures["accuracy_ci95"]
    most = facts.matrix.sum(axis=1).max() / n
    return {
        "accuracy": percent(figures["accuracy"], n),
        "interval": interval((low, high), n),
        "n": count(n, f"{facts.split} image"),
        "low": 100 * low,
        "width": 100 * (high - low),
        "chance": 100 * float(most),
    }


def _key_figures(facts: Facts) -> list[tuple[str, str, str, str | None]]:
    """Name, value, small print and glossary entry of the figures beside the headline."""
    result, rows = facts.result, _measured(facts) if facts.figures else []
    rows.append(
        ("epochs", count(result.get("epochs_run") or len(facts.history)), _best(facts), None)
    )
    if facts.seconds.get("train") is not None:
        total = duration(sum(facts.seconds.values()))
        rows.append(("training", duration(facts.seconds["train"]), f"{total} in all", None))
    if result.get("parameters"):
        name = str(facts.recipe.get("model", ""))
        rows.append(("parameters", count(result["parameters"]), name, None))
    return rows


def _measured(facts: Facts) -> list[tuple[str, str, str, str | None]]:
    """The figures of the evaluated split; those that an older run lacks are left out."""
    figures, bounds = facts.figures, ""
    if facts.predictions is not None:
        losses = log_losses(facts.logits, facts.predictions["labels"]).tolist()
        _, low, high = mean_interval(losses, within=(0, math.inf))
        bounds = f"95 %: {low:.3f} to {high:.3f}" if low is not None else ""
    rows: list[tuple[str, str, str, str | None]] = [
        (f"{facts.split} loss", number(figures["loss"]), bounds, "loss")
    ]
    if figures.get("brier_score") is not None:
        rows.append(("Brier score", number(figures["brier_score"], 3), "0 is perfect", "brier"))
    rows.append(("calibration error", percent(figures["ece"]), "ECE, 15 bins", "ece"))
    if facts.result.get("tta_gain"):
        rows.append(_views(facts, facts.result["tta_gain"]))
    if figures.get("balanced_accuracy") is not None:
        bounds = f"95 %: {interval(figures.get('balanced_accuracy_ci95'))}"
        balanced = percent(figures["balanced_accuracy"])
        rows.append(("balanced accuracy", balanced, bounds, "balanced_accuracy"))
    top = [(k, share) for k, share in (figures.get("top_k_accuracy") or {}).items() if share]
    if top:
        (k, share), *rest = top
        note = ", ".join(f"top-{k} {percent(share)}" for k, share in rest)
        rows.append((f"top-{k} accuracy", percent(share), note, "top_k"))
    return rows


def _views(facts: Facts, gain: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What test-time augmentation gained, beside what it cost."""
    low, high = (f"{100 * bound:+.2f}" for bound in gain["difference_ci95"])
    note = f"95 %: {low} to {high}; "
    note += f"{percent(gain['accuracy_without'], facts.figures['n'])} without them"
    if gain["seconds_ratio"]:
        note += f", {number(gain['seconds_ratio'], 2)} times the time"
    value = f"{100 * gain['difference']:+.2f}{SPACE}points"
    return f"views: {facts.result['tta']}", value, note, "tta"


def _best(facts: Facts) -> str:
    best = facts.result.get("best_epoch")
    return f"weights kept: epoch {best}" if best is not None else ""
