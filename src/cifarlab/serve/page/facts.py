"""What the page says of the model, in words: only what its file or its card records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifarlab import bundled
from cifarlab.predict import Predictor
from cifarlab.runtimes import Exported

SPACE = "\N{NO-BREAK SPACE}"
RECORDED = {"recipe": "recipe", "trained on": "dataset"}  # term -> key of what the file records


def words(name: str) -> str:
    """A class's name as people write it.

    Example:
        >>> words("pickup_truck")
        'pickup truck'
    """
    return name.replace("_", " ")


@dataclass(frozen=True)
class Fact:
    """One figure of a list: what it is, how much, and what belongs to it."""

    term: str
    value: str
    note: str = ""


def model_facts(predictor: Predictor) -> list[Fact]:
    """What is known of the model; what its file does not record is left out.

    Example:
        >>> bright = lambda images: images.mean(axis=(1, 2))
        >>> [each.term for each in model_facts(Predictor(("cat", "dog"), 32, "crop", 0.5, bright))]
        ['input', 'classes']
    """
    model = predictor.logits
    source = model.info.source if isinstance(model, Exported) else {}
    named = [Fact(term, str(source[key])) for term, key in RECORDED.items() if source.get(key)]
    side = f"{predictor.image_size} × {predictor.image_size}"
    return [
        *_accuracy(source),
        *named,
        Fact("input", side, "pixels, in colour"),
        Fact("classes", f"{len(predictor.class_names):,}"),
    ]


def limits(predictor: Predictor) -> list[str]:
    """What the model is no good at, in sentences: from the card of one that comes with cifarlab."""
    model = predictor.logits
    if isinstance(model, Exported) and model.path.parent == bundled.FOLDER:
        return bundled.bundled_card(model.path.stem)["limits"]
    return []


def _accuracy(source: Mapping[str, Any]) -> list[Fact]:
    """The accuracy with what it was measured on and its interval, as far as they are recorded.

    Example:
        >>> measured = {"split": "test", "n": 10_000, "accuracy": 0.888}
        >>> [fact] = _accuracy(measured | {"accuracy_ci95": [0.8817, 0.894]})
        >>> fact.value, fact.note
        ('88.8\\xa0%', 'of 10,000 test images right; 95\\xa0% interval 88.2 to 89.4\\xa0%')
    """
    accuracy, n, bounds = (source.get(key) for key in ("accuracy", "n", "accuracy_ci95"))
    if accuracy is None:
        return []
    note = f"of {f'{n:,} ' if n else ''}{source.get('split') or 'test'} images right"
    if bounds:
        note += f"; 95{SPACE}% interval {100 * bounds[0]:.1f} to {_percent(bounds[1])}"
    if source.get("tta", "none") not in ("none", None):
        note += f"; views averaged: {source['tta']}"
    return [Fact("accuracy", _percent(accuracy), note)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"
