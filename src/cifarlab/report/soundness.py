"""Whether the data is sound: audit.json and its contact sheets on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cifarlab.errors import RunError
from cifarlab.report.embed import sheet_uri
from cifarlab.report.facts import SPLITS, Facts
from cifarlab.report.numbers import count, interval, listed, percent, points, quoted

LISTED = 20  # findings of each kind that the page names
KINDS = {  # kind: heading, its contact sheet, what a score is
    "leak": ("Copies in another split", "leaks.png", "similarity"),
    "duplicate": ("Copies in the same split", "duplicates.png", "similarity"),
    "label": ("Labels that are probably wrong", "label-suspects.png", "margin"),
    "outlier": ("Images far from their class", "outliers.png", "deviations"),
}


def soundness(facts: Facts) -> dict[str, Any] | None:
    """The section on the data; None where it has not been audited.

    Raises:
        RunError: audit.json is not as `cifarlab audit` writes it, or a contact sheet is damaged.
    """
    if facts.audit is None:
        return None
    try:
        return {
            "words": _words(facts.audit),
            "kinds": [
                _kind(facts, kind, heading, sheet, score)
                for kind, (heading, sheet, score) in KINDS.items()
                if facts.audit["counts"][kind]
            ],
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{facts.path / 'audit.json'} is damaged: {error!r}") from error


def _words(found: Any) -> list[str]:
    """What was found, what it means for the accuracy, and which classes are small."""
    images = listed([f"{count(n)} {_split(name)}" for name, n in found["images"].items()])
    counts = found["counts"]
    pairs = f"{count(counts['leak'], 'pair')} of copies across splits and"
    pairs += f" {count(counts['duplicate'])} within one"
    first = (
        f"Among {images} images are {pairs}, {count(counts['label'], 'label')} that may be wrong, "
        f"and {count(counts['outlier'], 'image')} far from the others of their class."
    )
    sentences = [first]
    if counts.get("conflicting"):
        sentences.append(f"Of the copies, {count(counts['conflicting'])} have different labels.")
    return [*sentences, *_leaks(found), *_balance(found["balance"])]


def _leaks(found: Any) -> list[str]:
    leaked, accuracy = len(found["leaked"]), found.get("accuracy") or {}
    if not leaked:
        return (
            ["No test image was found to have a copy elsewhere."]
            if "test" in found["images"]
            else []
        )
    sentence = f"{count(leaked, 'test image')} {'has' if leaked == 1 else 'have'} a copy elsewhere"
    if "all" not in accuracy or "without_leaked" not in accuracy:
        return [sentence + "."]
    without, whole = accuracy["without_leaked"], accuracy["all"]
    change = without["accuracy"] - whole["accuracy"]
    side = "above" if change > 0 else "below"
    bounds = interval(without["accuracy_ci95"])
    right = f"accuracy is {percent(without['accuracy'], without['n'])} (95 % interval {bounds})"
    return [f"{sentence}; without them {right}, {points(change)} {side} that of all."]


def _balance(balance: Any) -> list[str]:
    """Which classes are small, split by split."""
    return [
        f"{_split(name).capitalize()} images are imbalanced: the largest class has "
        f"{count(max(of_split['counts'].values()))}, "
        + listed([f"{quoted(few)} {count(of_split['counts'][few])}" for few in of_split["small"]])
        + "."
        for name, of_split in balance.items()
        if of_split["imbalanced"]
    ] or ["No class is less than half as large as another."]


def _split(name: str) -> str:
    return SPLITS.get(name, name)


def _kind(facts: Facts, kind: str, heading: str, sheet: str, score: str) -> dict[str, Any]:
    some, whole = (facts.audit or {})["findings"].get(kind, []), (facts.audit or {})["counts"][kind]
    path = facts.path / "audit" / sheet  # elsewhere it is none of this run's files
    return {
        "heading": heading,
        "count": count(whole),
        "sheet": _sheet(path) if path.exists() else None,
        "score": score,
        "rows": [_row(finding) for finding in some[:LISTED]],
        "rest": whole - len(some[:LISTED]),
    }


def _sheet(path: Path) -> tuple[str, int, int]:
    try:
        return sheet_uri(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}; run cifarlab audit again") from error


def _row(finding: Any) -> list[str]:
    """Which image, what is the matter, how sure."""
    image = _place(finding["split"], finding["index"], finding["file"])
    if finding["other_split"] is not None:
        other = _place(finding["other_split"], finding["other_index"], finding["other_file"])
        matter = f"{'the very same pixels as' if finding['exact'] else 'a copy of'} {other}"
        labels = (finding["given"], finding["other_given"])
        if None not in labels and labels[0] != labels[1]:
            matter += f", labelled {labels[0]} and {labels[1]}"
    elif finding["suggested"] is not None:
        matter = f"labelled {finding['given']}, rather {finding['suggested']}"
    else:
        matter = f"labelled {finding['given']}"
    return [image, matter, f"{finding['score']:.2f}"]


def _place(split: str, index: int, file: str | None) -> str:
    return f"{_split(split)} {index}" + (f" ({file})" if file else "")
