"""The page of a ladder: what each rung gave, what it cost, and why it should help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cifarlab.files import write_text
from cifarlab.panels import ladder_steps
from cifarlab.plots import save_png
from cifarlab.report.embed import figure_svg
from cifarlab.report.numbers import (
    SPACE,
    UNKNOWN,
    count,
    duration,
    interval,
    listed,
    percent,
    quoted,
)
from cifarlab.report.pages import render

HARDEST = 3  # classes named as those that stay hard
JUDGED = "Each rung is judged by itself: of twenty that change nothing one may still seem to."


def write_ladder_page(found: Mapping[str, Any], command: str, folder: Path) -> tuple[Path, Path]:
    """Write ``ladder.html`` and ``ladder.png`` of what `ladder.climb` found; their paths.

    Args:
        found: what it returned, or what is in ``ladder.json``.
        command: that does it again.
        folder: to write them in.

    Raises:
        CifarlabError: they cannot be written.
    """
    page, picture = folder / "ladder.html", folder / "ladder.png"
    write_text(page, render("ladder.html", ladder_context(found, command)))
    save_png(_figure(found["rungs"]), picture)
    return page, picture


def ladder_context(found: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Everything that ``ladder.html`` shows."""
    rungs, aside = found["rungs"], found["aside"]
    classes = class_rows(found)
    sections = [("result", "Result"), ("rungs", "Rungs"), ("why", "Why")]
    sections += [("aside", "Beside it")] if aside else []
    sections += [("classes", "Classes")] if classes else []
    description = f"Accuracy of {len(rungs)} rungs, and accuracy over the seconds of training."
    return {
        "title": f"The ladder on {found['dataset']}",
        "sections": [*sections, ("reproduce", "Do it again")],
        "dataset": found["dataset"],
        "opening": opening(found),
        "figure": figure_svg(_figure(rungs), "ladder", description),
        "caption": _caption(found),
        "rungs": [_row(i, rung) for i, rung in enumerate(rungs, start=1)],
        "aside": [_row(i, rung) for i, rung in enumerate(aside, start=1)],
        "classes": classes,
        "hardest": hardest(found),
        "machine": _machine(found["environment"]),
        "command": command,
    }


def opening(found: Mapping[str, Any]) -> list[str]:
    """What the ladder comes to, in a few sentences."""
    rungs, split = found["rungs"], {"test": "test", "val": "validation"}[found["split"]]
    first, last = rungs[0], rungs[-1]
    ends = f"From {percent(first['accuracy_mean'])} to {percent(last['accuracy_mean'])}"
    images = f"{count(first['images'])} {split} images"
    words = [f"{ends} on {images} in {len(rungs) - 1} steps, each one change."]
    steps = [rung for rung in rungs if rung["gain"]]
    sure = [rung for rung in steps if rung["gain"]["measurable"]]
    sure.sort(key=lambda rung: -rung["gain"]["difference"])
    gains = [rung for rung in sure if rung["gain"]["difference"] > 0][:3]
    if gains:
        named = [f"{r['name']} ({signed(r['gain']['difference'])})" for r in gains]
        words.append(f"The largest gains, in points: {listed(named)}.")
    losses = [rung["name"] for rung in sure if rung["gain"]["difference"] < 0]
    if losses:
        words.append(f"A loss: {listed(losses)}.")
    unsure = [rung["name"] for rung in steps if not rung["gain"]["measurable"]]
    if unsure:
        words.append(f"No measurable gain: {listed(unsure)}.")
    return words


def verdict(gain: Mapping[str, Any] | None) -> str:
    """Whether a rung is better than the one below, in words.

    Example:
        >>> verdict({"measurable": False, "difference": 0.001})
        'no measurable gain'
    """
    if gain is None:
        return ""
    if not gain["measurable"]:
        return "no measurable gain"
    return "a gain" if gain["difference"] > 0 else "a loss"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign.

    Example:
        >>> signed(0.0123), signed(-0.001)
        ('+1.2', '−0.1')
    """
    return f"{100 * share:+.1f}".replace("-", "−")


def signed_interval(bounds: Sequence[float]) -> str:
    """An interval of such differences.

    Example:
        >>> signed_interval([-0.001, 0.0123])
        '−0.1 to +1.2'
    """
    return " to ".join(map(signed, bounds))


def class_rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row a class: recall on the first and the last rung, and the rung that gave it most."""
    rungs = found["rungs"]
    rows: list[dict[str, str]] = []
    for name, each in found["classes"].items() if len(rungs) > 1 else ():
        steps = [
            (above["recall"][name] - below["recall"][name], above["name"])
            for below, above in pairwise(rungs)
        ]
        most, rung = max(steps)
        rows.append(
            {
                "name": name,
                "first": percent(each["first"]),
                "last": percent(each["last"]),
                "gain": signed(each["difference"]),
                "interval": signed_interval(each["interval"]),
                "step": f"{rung} ({signed(most)})",
            }
        )
    return rows


def hardest(found: Mapping[str, Any]) -> list[str]:
    """Which classes the last rung finds least of, in a sentence; none where there are few."""
    recalls = {k: v for k, v in found["rungs"][-1]["recall"].items() if v is not None}
    hard = sorted(recalls, key=lambda name: recalls[name])[:HARDEST]
    words = [f"{quoted(name)} ({percent(recalls[name])})" for name in hard]
    return [f"Hardest to the end: {listed(words)}."] if len(recalls) > HARDEST else []


def _row(number: int, rung: Mapping[str, Any]) -> dict[str, Any]:
    gain, (low, high) = rung["gain"], rung["accuracy_ci95"]
    over_seeds = gain is not None and gain["method"] in ("welch", "seeds")
    accuracy = {
        "text": percent(rung["accuracy_mean"], rung["images"]),
        "note": interval([low, high], rung["images"]),
        "low": 100 * low,
        "width": 100 * (high - low),
        "at": 100 * rung["accuracy_mean"],
    }
    return {
        "number": number,
        "name": rung["name"],
        "change": rung["change"][0].upper() + rung["change"][1:] if rung["change"] else "",
        "why": rung["why"],
        "below": rung["below"],
        "accuracy": accuracy,
        "gain": "" if gain is None else signed(gain["difference"]),
        "interval": "" if gain is None else signed_interval(gain["interval"]),
        "over_images": signed_interval(gain["interval_images"]) if over_seeds else "",
        "verdict": verdict(gain),
        "time": duration(rung["seconds_mean"]),
        "parameters": count(rung["parameters"]),
        "operations": f"{rung['training_operations'] / 1e12:,.0f}{SPACE}T"
        if rung["training_operations"] >= 1e13
        else f"{rung['training_operations'] / 1e12:.2g}{SPACE}T",
        "multiply_adds": f"{rung['multiply_adds'] / 1e6:,.1f}{SPACE}M",
    }


def _figure(rungs: Sequence[Mapping[str, Any]]) -> Any:
    return ladder_steps(
        [rung["name"] for rung in rungs],
        [rung["accuracy_mean"] for rung in rungs],
        [rung["accuracy_ci95"] for rung in rungs],
        [rung["seconds_mean"] for rung in rungs],
    )


def _caption(found: Mapping[str, Any]) -> str:
    runs, images = found["runs"], count(found["rungs"][0]["images"])
    if runs == 1:
        return (
            "One seed a rung: intervals are over the draw of the images (Wilson; for gains the "
            f"paired bootstrap), {images} of them, and say nothing about other seeds. {JUDGED}"
        )
    return (
        f"Means of {runs} seeds with their 95 % interval (Student's t over seeds); gains over the "
        "rung below by Welch's interval, or within each seed where the training is the same, and "
        f"in small figures over the {images} images, as that of the ensemble is. "
        f"{JUDGED} T: 10¹² operations; M: 10⁶."
    )


def _machine(environment: Mapping[str, Any]) -> str:
    versions, backend = environment.get("versions", {}), str(environment.get("backend"))
    # Whatever the backend's package is called here: tensorflow, tensorflow-cpu, jax, jaxlib.
    named = [f"{k} {v}" for k, v in versions.items() if k == "keras" or k.startswith(backend)]
    known = [environment.get(key) for key in ("cpu", "backend", "precision")]
    cores = count(environment.get("threads"), "core")
    return "; ".join([str(value or UNKNOWN) for value in known] + [cores, *named]) + "."
