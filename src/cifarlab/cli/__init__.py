"""The command line: ``cifarlab COMMAND``. Each group of commands is one module with ``register``.

Exit status: 0 done; 1 an error that one line explains; 2 wrong usage; 130 or 143 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cifarlab import __version__
from cifarlab.cli import (
    audit,
    compare,
    console,
    data,
    evaluate,
    export,
    info,
    ladder,
    predict,
    robustness,
    serve,
    train,
)
from cifarlab.errors import CifarlabError

# The order of a first visit; `cifarlab --help` keeps it.
_ORDER = (
    *("explore", "train", "evaluate", "report", "compare", "predict", "export", "serve"),
    *("audit", "robustness", "reproduce", "ladder", "recipes", "models", "data", "doctor"),
)


class _Journey(TyperGroup):
    """The commands in the order in which a person meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, ``explore`` first."""
        return sorted(self.commands, key=_ORDER.index)


# `--help` must answer at once. So help is plain text (drawing it with rich takes a quarter of a
# second), and `--help` here is our own (Typer's, and its options for completion, have no value when
# a command follows, and to make sure of that it loads pydantic: a fifth of a second).
app = typer.Typer(
    name="cifarlab",
    cls=_Journey,
    invoke_without_command=True,
    rich_markup_mode=None,
    add_completion=False,
    add_help_option=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group in (
    data,
    train,
    evaluate,
    compare,
    robustness,
    audit,
    ladder,
    predict,
    export,
    serve,
    info,
):
    _group.register(app)


def _print_version(value: bool) -> None:
    if value:
        print(f"cifarlab {__version__}")
        raise typer.Exit


def _print_help(context: typer.Context, value: bool) -> None:
    if value:
        print(context.get_help())
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    help: Annotated[
        bool,
        typer.Option(
            "-h", "--help", callback=_print_help, is_eager=True, help="Show this message and exit."
        ),
    ] = False,
) -> None:
    """Small-image classifiers: trained fast on any machine, measured honestly, ready to use.

    Start with: cifarlab train
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; what a user can mend is one line on standard error.

    Args:
        arguments: the words after ``cifarlab``; those of the process by default.

    Raises:
        SystemExit: always, with the exit status that the module names.
    """
    if sys.stdout is None:  # closed before we began: nobody reads what is written
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    # A file's name need not be valid UTF-8: show it escaped rather than fail on it.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    status = _status(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:  # full, or nobody reads it any more (`| head`)
        status = status or _os_error(error)
        # Python flushes at exit once more: let that go nowhere instead of failing again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _status(arguments: Sequence[str] | None) -> int:
    """Run one command and give its exit status."""
    try:
        # Typer returns the status of `typer.Exit` and of Ctrl-C (130), else the command's None.
        status = app(arguments, prog_name="cifarlab", standalone_mode=False)
    except CifarlabError as error:
        console.fail(str(error))
        return error.exit_code
    except TyperException as error:
        console.fail(_usage_line(error))
        return 2
    except OSError as error:
        return _os_error(error)
    if status == 130:
        console.fail("interrupted")
    return status if isinstance(status, int) else 0


def _usage_line(error: TyperException) -> str:
    """Typer's message, which may suggest the nearest name, and where the help for it is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "cifarlab"
    return f"{' '.join(error.format_message().split())} See: {command} --help"


def _os_error(error: OSError) -> int:
    """A disk or a permission that fails has one line; a reader that left (`| head`) has none."""
    if not isinstance(error, BrokenPipeError):
        console.fail(str(error))
    return 1
