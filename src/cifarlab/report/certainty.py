"""Whether its probabilities can be taken at their word, when it should answer, what it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics, panels
from cifarlab.report.embed import figure_svg
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import UNKNOWN, count, number, percent, points, probability
from cifarlab.unknowns.separation import known_rule

POINTS = 250  # of the risk-coverage curve: more would only make the file larger


def calibration(facts: Facts) -> dict[str, Any] | None:
    """The section on probabilities; None where nothing has been measured."""
    if not facts.figures:
        return None
    bins = [each for each in facts.figures.get("reliability") or [] if each["count"]]
    return {
        "words": [*_average(facts), _temperature(facts)],
        "before": percent(facts.figures.get("ece_uncalibrated")),
        "after": percent(facts.figures.get("ece")),
        "temperature": number(facts.figures.get("temperature")),
        "area": area(facts),
        "answering": [*_thresholds(facts), *_selective(facts)],
        "diagram": _diagram(facts, bins) if bins else None,
        "bins": [_bin(each) for each in bins],
        "curve": _curve(facts),
    }


def _average(facts: Facts) -> list[str]:
    """How sure it is on average, beside how often it is right, and whether the draw explains it."""
    if facts.predictions is None:
        return []
    mean = float(metrics.softmax(facts.logits).max(axis=1).mean())
    gap = mean - facts.figures["accuracy"]
    n, (low, high) = facts.figures["n"], facts.figures["accuracy_ci95"]
    verdict = "as sure as it may be, within half a point"
    if abs(gap) >= 0.005:
        verdict = f"too {'sure' if gap > 0 else 'modest'} by {points(gap)}"
        if low <= mean <= high:
            verdict = f"{points(gap)} apart, which with {count(n, 'image')} may be chance"
    right, sure = percent(facts.figures["accuracy"], n), percent(mean, n)
    return [f"On average it is {sure} sure of its answers, and {right} are right: {verdict}."]


def _temperature(facts: Facts) -> str:
    """What was done to the probabilities, and what it was good for."""
    if not facts.result.get("calibration"):
        return "Its probabilities are as the model gives them: none was calibrated on validation."
    after, before = facts.figures.get("ece"), facts.figures.get("ece_uncalibrated")
    temperature = number(facts.figures.get("temperature"))
    sentence = f"Its logits are divided by {temperature}, fitted on validation"
    if before is None:
        return sentence + "."
    return f"{sentence}: calibration error {percent(after)}, without it {percent(before)}."


def _thresholds(facts: Facts) -> list[str]:
    """From which confidence on it should answer, to be right so often."""
    sentences = []
    for share, kept in (facts.result.get("thresholds") or {}).items():
        wish = percent(float(share)).replace(".0", "")
        if kept is None:
            sentences.append(
                f"No confidence is known from which {wish} of its answers are right: for that the "
                "model is not good enough, or its validation images are too few."
            )
            continue
        sentence = (
            f"To be right in {wish} of its answers it should answer from a confidence of "
            f"{probability(kept['confidence'])} on: that is "
            f"{percent(kept['coverage'])} of the {facts.split} images"
        )
        if kept["precision"] is not None:
            sentence += f", of which {percent(kept['precision'])} are right"
        sentences.append(f"{sentence}.")
    return sentences


def _selective(facts: Facts) -> list[str]:
    """What answering only half of the images would gain."""
    if facts.predictions is None:
        return []
    _, risk = metrics.risk_coverage(facts.logits, facts.predictions["labels"])
    wrong = f"{percent(_at_half(risk))} are answered wrongly, of all {percent(risk[-1])}"
    return [f"Of the surer half of the images {wrong}."]


def _diagram(facts: Facts, bins: list[dict[str, Any]]) -> Any:
    edges = np.array([[each["low"], each["high"]] for each in bins])
    count_, confidence, accuracy = (
        np.array([each[key] for each in bins], float) for key in ("count", "confidence", "accuracy")
    )
    figure = panels.reliability_diagram(edges, count_ / count_.sum(), confidence, accuracy)
    worst = int(np.argmax(np.abs(confidence - accuracy) * count_))
    words = (
        f"Reliability diagram of {count(len(bins), 'bin')}; most of the calibration error is at "
        f"confidence {percent(confidence[worst])}, where {percent(accuracy[worst])} are right. "
        "The bins follow as a table."
    )
    return figure_svg(figure, "reliability", words)


def _bin(each: dict[str, Any]) -> list[str]:
    gap = each["confidence"] - each["accuracy"]
    side = "too sure" if gap > 0 else "too modest"
    return [
        f"{percent(each['low'])} to {percent(each['high'])}",
        *(count(each["count"]), percent(each["confidence"]), percent(each["accuracy"])),
        f"{points(gap)} {side}",
    ]


def _curve(facts: Facts) -> Any:
    """The risk-coverage curve with the thresholds on it; None without the predictions."""
    if facts.predictions is None:
        return None
    coverage, risk = metrics.risk_coverage(facts.logits, facts.predictions["labels"])
    some = np.unique(np.linspace(0, len(risk) - 1, POINTS).round().astype(int))
    marks = {
        percent(float(share)).replace(".0", ""): (kept["coverage"], 1 - kept["precision"])
        for share, kept in (facts.result.get("thresholds") or {}).items()
        if kept and kept["precision"] is not None
    }
    figure = panels.risk_coverage(coverage[some], risk[some], marks)
    area = facts.figures.get("aurc")
    words = (
        f"Share of mistakes over the share answered: {percent(_at_half(risk))} at half of "
        f"the images, {percent(risk[-1])} at all of them"
    )
    return figure_svg(figure, "risk", f"{words}; area {number(area, 3)}." if area else words + ".")


def _at_half(risk: NDArray[np.float64]) -> float:
    """The risk (N,) of the surer half of the images; of an odd number the middle one is in it."""
    return float(risk[(len(risk) - 1) // 2])


def unknowns(facts: Facts) -> list[str]:
    """What ``known`` in an answer of ``predict`` means, and where its threshold lies."""
    if "known_threshold" not in facts.result:
        return []
    score, threshold = known_rule(facts.result)
    said = (
        "the energy of its logits (the logarithm of the sum of their exponentials)"
        if score == "energy"
        else "its highest probability"
    )
    sentence = (
        "In an answer of predict, known is false (the picture is probably of none of the classes) "
        f"where {said} stays below a threshold"
    )
    if threshold is None:
        nothing = "this run held no validation images out to set one, so all it sees is known"
        return [f"{sentence}; {nothing}."]
    at = number(threshold) if score == "energy" else percent(threshold)
    miss = (
        "About 5 in 100 validation images stay below it, so about so many pictures of the classes "
        "are called unknown too; a picture of something else may still pass."
    )
    return [f"{sentence}: {at}.", miss]


def area(facts: Facts) -> str:
    """The area under the risk-coverage curve."""
    value = facts.figures.get("aurc")
    return UNKNOWN if value is None else number(value, 3)
