"""The facts in plain words; every sentence is built from this run's figures, none is canned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cifarlab.metrics import most_confused
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import count, duration, listed, number, percent, points, quoted

PHASES = {
    "setup": "set-up",
    "compile": "compilation",
    "train": "training",
    "evaluate": "evaluation",
}
VIEWS = {
    "flip": ", its answers averaged over each image and its mirror image",
    "shift": ", its answers averaged over six views of each image: mirrored, and moved by a pixel",
    "selective": ", the quarter that it was least sure of by its answers to six views of the image",
}


class Confusion(NamedTuple):
    """One off-diagonal cell of the confusion matrix."""

    true: str
    predicted: str
    times: int
    support: int
    share: float

    @property
    def words(self) -> str:
        """What is taken for what."""
        return f"{quoted(self.true)} taken for {quoted(self.predicted)}"


def opening(facts: Facts) -> list[str]:
    """The first screen: what was trained on what, how good it is, where it is strong and weak."""
    sentences = [_training(facts)]
    if not facts.figures:
        return [*sentences, *_unevaluated(facts)]
    if facts.measured != "test":
        flattered = f"those of {facts.split} served the training too, which flatters these figures"
        sentences.append(f"There are no test images; {flattered}.")
    return [*sentences, _goodness(facts), *_extremes(facts)]


def _training(facts: Facts) -> str:
    recipe, result, counts = facts.recipe, facts.result, facts.counts
    epochs = result.get("epochs_run") or len(facts.history)
    name, model = recipe.get("name", facts.name), recipe.get("model", "a model")
    if model == name:
        model = "its model"
    if result.get("parameters"):
        model += f", {count(result['parameters'], 'parameter')},"
    sentence = f"The recipe {name} trained {model} on {count(counts.get('train'), 'image')} of "
    sentence += f"{facts.dataset} in {len(facts.class_names)} classes for {count(epochs, 'epoch')}"
    if not result.get("completed", True):
        sentence += f" of {count(recipe.get('epochs'))} so far"
    if facts.seconds.get("train"):
        sentence += f", which took {duration(facts.seconds['train'])}"
    return sentence + "."


def _unevaluated(facts: Facts) -> list[str]:
    nothing = "so nothing here says how good it is"
    sentences = [f"It has not been evaluated on {facts.split} images yet, {nothing}."]
    measured = [row for row in facts.history if row.get("val_accuracy") is not None]
    if measured:
        best = max(measured, key=lambda row: row["val_accuracy"])
        several = f", the best of {len(measured)}, which flatters" if len(measured) > 1 else ""
        sentences.append(
            f"Of its {count(facts.counts.get('validation'), 'validation image')} it had "
            f"{percent(best['val_accuracy'])} right in epoch {int(best['epoch'])}{several}."
        )
    return sentences


def _goodness(facts: Facts) -> str:
    figures = facts.figures
    n = figures["n"]
    right, most = int(np.trace(facts.matrix)), facts.matrix.sum(axis=1).max()
    images = count(n, f"{facts.split} image")
    return (
        f"It names {count(right)} of {images} right{VIEWS.get(facts.result.get('tta', ''), '')}; "
        f"always answering the most frequent class would have {percent(most / n)} right."
    )


def _extremes(facts: Facts) -> list[str]:
    ranking = ranked(facts)
    if len(ranking) < 2 or ranking[0][1]["f1"] == ranking[-1][1]["f1"]:
        return []
    (best, strong), (worst, weak) = ranking[0], ranking[-1]
    sentence = f"It is strongest on {quoted(best)}, of which it finds {percent(strong['recall'])}"
    sentence += f", and weakest on {quoted(worst)}, of which it finds {percent(weak['recall'])}"
    pairs = confusions(facts, 1)
    if pairs:
        sentence += (
            f"; its most frequent mistake is {pairs[0].words} "
            f"({count(pairs[0].times)} of {count(pairs[0].support)})"
        )
    return [sentence + "."]


def ranked(facts: Facts) -> list[tuple[str, Mapping[str, float]]]:
    """Classes that have test images, best F1 first."""
    present = [item for item in facts.figures["per_class"].items() if item[1]["support"]]
    return sorted(present, key=lambda item: -item[1]["f1"])


def confusions(facts: Facts, most: int) -> list[Confusion]:
    """The most frequent mistakes, at most so many, the most frequent first."""
    names, support = facts.class_names, facts.matrix.sum(axis=1)
    return [
        Confusion(names[i], names[j], times, int(support[i]), share)
        for i, j, times, share in most_confused(facts.matrix, most)
    ]


def classes(facts: Facts) -> list[str]:
    """Which classes are strong, which weak, which never found and which absent."""
    ranking = ranked(facts)
    few, sentences = min(3, len(ranking) // 2), []
    if few:
        weakest = ranking[: -few - 1 : -1]
        sentences.append(
            f"Strongest by F1: {_with_f1(ranking[:few])}. Weakest: {_with_f1(weakest)}."
        )
    never = [name for name, figures in ranking if not figures["recall"]]
    if never:
        sentences.append(f"It never finds {listed(list(map(quoted, never)))}.")
    present = {name for name, _ in ranking}
    absent = [name for name in facts.class_names if name not in present]
    if absent:
        sentences.append(
            f"There are no {facts.split} images of {listed(list(map(quoted, absent)))}."
        )
    return sentences


def _with_f1(ranking: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    return listed([f"{quoted(name)} ({percent(figures['f1'])})" for name, figures in ranking])


def looks(facts: Facts) -> list[str]:
    """How often test was opened: a figure chosen among many looks is worth less."""
    times = facts.result.get("test_looks")
    if not times or facts.split != "test":
        return []
    # Each look that measured nothing, as an audit's, left a note.
    other = len(facts.result.get("test_look_notes") or [])
    opened = f"The test images were opened {_times(times)} for this run"
    if other:
        opened += (
            f", {'one' if other == 1 else other} of them for an audit, which compares images and "
            "measures nothing"
        )
    if times - other <= 1:
        return [opened + "."]
    warning = "if a choice was made between those looks, the figure is a little too good"
    if other:
        warning = warning.replace("those", f"the {times - other} other")
    return [f"{opened}; {warning}."]


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def learning(facts: Facts) -> list[str]:
    """What the curves show."""
    if not facts.history:
        return ["No epoch has been completed."]
    sentences = _progress(facts)
    last = facts.history[-1]
    if last.get("val_accuracy") is not None and last.get("accuracy") is not None:
        gap = last["accuracy"] - last["val_accuracy"]
        side = "above" if gap >= 0 else "below"
        sentences.append(
            f"In the last epoch training accuracy, {percent(last['accuracy'])}, is {points(gap)} "
            f"{side} validation accuracy, {percent(last['val_accuracy'])}."
        )
    sentences += _visits(facts)
    if facts.result.get("stopped_early"):
        sentences.append(
            f"It stopped early, after {count(len(facts.history), 'epoch')} of "
            f"{count(facts.recipe.get('epochs'))}."
        )
    rates = [row["learning_rate"] for row in facts.history if row.get("learning_rate") is not None]
    if rates and min(rates) == max(rates):
        sentences.append(f"The learning rate stayed at {number(rates[0])}.")
    elif rates:
        sentences.append(
            f"The learning rate moved between {number(max(rates))} and {number(min(rates))}."
        )
    return sentences


def _visits(facts: Facts) -> list[str]:
    """Where epochs left easy images out: what that means for the figures on training images."""
    least = min(facts.result.get("hard") or [1.0])
    if least == 1.0:
        return []
    sentence = (
        f"Epochs visited hard images more often, at the most the hardest {percent(least, 20)} "
        "alone; figures on training images are of those visited, so they look worse than on all."
    )
    return [sentence]


def _progress(facts: Facts) -> list[str]:
    kind, column = "Validation", "val_accuracy"
    measured = [row for row in facts.history if row.get(column) is not None]
    if not measured:
        kind, column, measured = "Training", "accuracy", list(facts.history)
    first, best = measured[0], facts.epochs.get(int(facts.result.get("best_epoch") or 0))
    if best is None or best.get(column) is None or best is first:
        return [f"{kind} accuracy ended at {percent(measured[-1].get(column))}."]
    start = f"{percent(first[column])} in epoch {int(first['epoch'])}"
    end = f"{percent(best[column])} in epoch {int(best['epoch'])}, whose weights were kept"
    return [f"{kind} accuracy went from {start} to {end}."]


def model(facts: Facts) -> list[str]:
    """How large the model is."""
    sentences, result = [], facts.result
    if result.get("parameters"):
        name = facts.recipe.get("model", "The model")
        sentences.append(f"{name} has {count(result['parameters'], 'parameter')}.")
    return sentences or ["The model is not recorded yet: its training has not finished."]


def reproduction(facts: Facts) -> str:
    """What it takes to get the same figures again."""
    threads = facts.environment.get("threads")
    same = f" and {count(threads, 'thread')}" if threads else ""
    return (
        f"The same data, software, kind of processor{same} give the same bits; elsewhere figures "
        "differ as they do between seeds."
    )


def phases(facts: Facts) -> list[dict[str, Any]]:
    """Seconds by phase, with each one's share of the whole."""
    total = sum(facts.seconds.values())
    return [
        {
            "name": PHASES.get(name, name),
            "time": duration(seconds),
            "share": seconds / total if total else 0.0,
        }
        for name, seconds in facts.seconds.items()
    ]
