"""``cifarlab evaluate --unknown``: which pictures of other things, and how well they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from cifarlab.cli.console import say, table
from cifarlab.errors import UnknownNameError, UsageError

Unknown = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SET",
        help="How well pictures of other things are told apart: digits, textures, jigsaw, or "
        "NAME=FOLDER of images. May be given several times.",
    ),
]


def parse_sets(words: Sequence[str]) -> dict[str, str]:
    """Name to built-in set or folder, of the words after ``--unknown``.

    Example:
        >>> parse_sets(["digits", "cats=photos/cats"])
        {'digits': 'digits', 'cats': 'photos/cats'}
    """
    if not words:
        return {}
    from cifarlab.unknowns.pictures import BUILT_IN

    sets: dict[str, str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals and name not in BUILT_IN:
            raise UnknownNameError("set of pictures", word, [*BUILT_IN, "NAME=FOLDER"])
        if equals and not (name and folder):
            raise UsageError(f"--unknown takes a set's name or NAME=FOLDER. Received: {word!r}")
        if name in sets:
            raise UsageError(f"--unknown names {name} twice; name each set once")
        sets[name] = folder if equals else name
    return sets


def show_unknowns(found: Mapping[str, Any], split: str) -> None:
    """A row a set: how well the score tells its pictures apart, and how many pass for known."""
    from cifarlab.unknowns.separation import SCORES

    known = found["known"]
    fitted = "; the threshold was chosen on these" if split == "val" else ""
    say(
        f"\npictures of other things, told by the {SCORES[found['score']]}: known from "
        f"{found['threshold']:.4g} on, which {_percent(known, 'refused')} of the {known['n']:,} "
        f"{split} images do not reach{fitted}"
    )
    rows = [
        [
            *(name, f"{each['n']:,}", f"{each['auroc']:.3f}"),
            " to ".join(f"{bound:.3f}" for bound in each["auroc_ci95"]),
            _percent(each, "passed"),
        ]
        for name, each in found["sets"].items()
    ]
    table(["set", "images", "AUROC", "95 % interval", "pass for known (95 % interval)"], rows)


def _percent(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_ci95"]
    return f"{figures[name]:.1%} ({low:.1%} to {high:.1%})"
