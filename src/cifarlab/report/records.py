"""The run's records as rows of a table, and the commands that make it again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.report.facts import Facts
from cifarlab.report.numbers import number


def recipe_rows(facts: Facts) -> list[tuple[str, str]]:
    """Every field of the recipe under the name that ``--set`` knows it by."""
    return [row for row in flat(facts.recipe) if row[0] != "summary"]


def data_rows(facts: Facts) -> list[tuple[str, str]]:
    """What data.json says, its class names first; the counts have a table of their own."""
    data = dict(facts.data)
    names = data.pop("class_names")
    data.pop("counts", None)
    rows = [("classes", f"{len(names)}: {', '.join(map(str, names))}"), *flat(data)]
    return [(_words(name), value) for name, value in rows]


def environment_rows(facts: Facts) -> list[tuple[str, str]]:
    """What environment.json says, memory in GiB."""
    environment = dict(facts.environment)
    memory = environment.pop("memory_bytes", None)
    if memory:
        environment["memory"] = f"{memory / 2**30:.1f} GiB"
    return [(_words(name), value) for name, value in flat(environment)]


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of dotted name and text.

    Example:
        >>> flat({"epochs": 3, "augmentation": {"flip": True}, "plateau": None})
        [('epochs', '3'), ('augmentation.flip', 'yes'), ('plateau', 'none')]
    """
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            rows += flat(item, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _text(item)))
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ").replace(".", " ")


def _text(value: Any) -> str:
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 8)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    return without_home(str(value))


def commands(facts: Facts) -> list[str]:
    """The commands that make this run again, ready to paste."""
    recipe_file, again = facts.path / "recipe.json", facts.path.with_name(f"{facts.name}-again")
    train = ["cifarlab", "train", str(facts.data.get("source", facts.dataset))]
    train += ["--recipe", shown_path(recipe_file), "--seed", str(facts.result.get("seed", 0))]
    if facts.environment.get("backend"):
        train += ["--backend", str(facts.environment["backend"])]
    evaluate = ["cifarlab", "evaluate", shown_path(again)]
    if facts.measured != "test":
        evaluate += ["--split", facts.measured]
    if facts.result.get("tta") not in (None, "none"):
        evaluate += ["--tta", str(facts.result["tta"])]
    report = ["cifarlab", "report", shown_path(again)]
    lines = ([*train, "--out", shown_path(again)], evaluate, report)
    return [" ".join(map(typed, line)) for line in lines]


def shown_path(path: Path) -> str:
    """A path as one would type it here: relative where it lies below the current folder."""
    whole, here = path.resolve(), Path.cwd()
    below = whole.is_relative_to(here)
    return str(whole.relative_to(here)) if below else without_home(str(path))


def typed(word: str) -> str:
    """A word of a command as one types it: quoted for a shell, the home folder as ``~``.

    Example:
        >>> home = os.path.expanduser("~")
        >>> print(typed("quick"), typed("my photos"), typed(f"{home}/my photos"))
        quick 'my photos' ~/'my photos'
    """
    home, _, rest = without_home(word).partition("/")
    if home != "~":
        return shlex.quote(without_home(word))
    return f"~/{shlex.quote(rest)}" if rest else "~"  # between quotes ~ is no home folder


def without_home(text: str) -> str:
    """`text` with ``~`` for the home folder: a page for others need not say whose it is."""
    home = os.path.expanduser("~")
    if len(Path(home).parts) < 2:  # unknown, or of the whole system
        return text
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.~-])", "~", text)
