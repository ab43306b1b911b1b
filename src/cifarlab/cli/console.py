"""What a command prints, and where.

With ``--json`` the standard output holds JSON and nothing else, so that it can be piped into
another program; what people read goes to the standard error then. A command takes ``json: Json``
as its last parameter, calls `say`, `table` and `next_steps` in either case, and `emit` with the
result if ``json`` is true.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

# No terminal limits a line in a file or a pipe: a table's row stays one line, its paths whole.
_PIPE_WIDTH = 200


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout  # None where it was closed before we began
    limited = (stream is not None and stream.isatty()) or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if limited else _PIPE_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)

_NUMBER = re.compile(r"-|-?\d[\d,.]*( ?\S{1,3})?")  # with a unit at most, such as 69.3 %
_people_read_stderr = False


def _set_json(value: bool) -> bool:
    # Typer calls this for each command it parses, also when the option is absent: no state of one
    # command is left for the next in the same process.
    global _people_read_stderr
    _people_read_stderr = value
    return value


Json = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=_set_json,
        help="The result as JSON on standard output, and nothing else there.",
    ),
]
OtherData = Annotated[
    str | None, typer.Option(metavar="DATA", help="Another dataset with the same classes.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def people() -> Console:
    """The console for people's text: standard output, or standard error with ``--json``."""
    return err if _people_read_stderr else out


def say(*things: object) -> None:
    """Print each of ``things`` for people to read: text as it is, or anything that rich draws.

    Text is not wrapped and its brackets mean nothing, so that a path or a command in it can be
    copied.

    Example:
        >>> say("runs/quick-1 [done]")
        runs/quick-1 [done]
    """
    for thing in things:
        people().print(thing, markup=False, highlight=False, soft_wrap=isinstance(thing, str))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Print a table for people; columns of numbers are set right, ``None`` is a dash.

    Columns without names have no heading line.

    Example:
        >>> table(["recipe", "epochs"], [["quick", 8], ["debug", None]])
        recipe  epochs
        quick        8
        debug        -
    """
    from rich.table import Table

    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    drawn = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    drawn.padding, drawn.show_header = (0, 2, 0, 0), any(columns)
    for number, name in enumerate(columns):
        numeric = bool(cells) and all(_NUMBER.fullmatch(row[number]) for row in cells)
        drawn.add_column(
            Text(name),
            justify="right" if numeric else "left",
            overflow="fold",
            header_style="bold",
        )
    for row in cells:
        drawn.add_row(*map(Text, row))
    people().print(drawn)


def next_steps(commands: Iterable[str | Sequence[str]]) -> None:
    """Print the commands that a person would type next, ready to paste; the last thing printed.

    A command is a line, or its words, which are quoted for the shell where they need it.

    Example:
        >>> next_steps([["cifarlab", "report", "runs/my run"]])
        <BLANKLINE>
        Next:
          cifarlab report 'runs/my run'
    """
    say("\nNext:")
    for command in commands:
        line = command if isinstance(command, str) else shlex.join(map(str, command))
        say("  " + printable(line))


def emit(value: Any) -> None:
    """Print ``value`` as one line of JSON on standard output; NumPy's numbers and arrays are fine.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.

    Example:
        >>> emit({"file": "photo.jpg", "probability": 0.75})
        {"file": "photo.jpg", "probability": 0.75}
    """
    sys.stdout.write(json.dumps(value, allow_nan=False, default=_plain) + "\n")
    sys.stdout.flush()  # one line at a time reaches a program that reads along


def fail(message: str) -> None:
    """Print ``error: message`` as one line on standard error."""
    err.print(Text.assemble(("error:", "bold red"), " ", printable(message)), soft_wrap=True)


def printable(text: str) -> str:
    """One line that a terminal only shows: the name of a file or a class may hold line breaks, and
    control codes that a terminal would obey. These come out escaped.

    Example:
        >>> print(printable("two\\nlines.png"))
        two\\nlines.png
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _plain(value: Any) -> Any:
    """What JSON can hold of a NumPy number or array, or of a path."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
