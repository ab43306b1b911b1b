"""Models that come with the package, each with its card: ``<name>.onnx`` and ``<name>.json``.

A card says what the model was trained on and how, its figures with their intervals, its limits and
its licence, and holds the hash of the file. ``benchmarks/bundle.py`` writes both from a run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cifarlab.errors import ModelFileError, UnknownNameError

FOLDER = Path(__file__).parent
# What every card tells, beside its `name`.
FIELDS = ("summary", "data", "recipe", "figures", "limits", "licence", "sha256")


def bundled_names() -> list[str]:
    """The names of the models, sorted.

    Example:
        >>> "cifar10" in bundled_names()
        True
    """
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def bundled_card(name: str) -> dict[str, Any]:
    """A model's card.

    Returns:
        ``name``, ``summary``, ``data``, ``recipe``, ``figures`` (a list of ``name``, ``value``,
        ``ci95`` or None, ``n`` or None), ``limits`` (a list of sentences), ``licence``, ``sha256``.

    Raises:
        UnknownNameError: there is no such model.
        ModelFileError: the card is damaged.
    """
    if name not in bundled_names():
        raise UnknownNameError("bundled model", name, bundled_names())
    path = FOLDER / f"{name}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        missing = [field for field in FIELDS if field not in card]
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if missing:
        raise _damaged(path, f"it has no {missing[0]}")
    return {"name": name, **card}


def bundled_path(name: str) -> Path:
    """The model's file, after its hash was found to be the card's.

    Raises:
        UnknownNameError: there is no such model.
        ModelFileError: the file is absent, or is not the one that the card describes.
    """
    card, path = bundled_card(name), FOLDER / f"{name}.onnx"
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    if found != card["sha256"]:
        raise _damaged(path, f"its SHA-256 is {found[:12]}…, not {card['sha256'][:12]}…")
    return path


def _damaged(path: Path, reason: str) -> ModelFileError:
    return ModelFileError(
        f"the bundled model {path} is damaged: {reason}; install cifarlab again: "
        "pip install --force-reinstall cifarlab"
    )
