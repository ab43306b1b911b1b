"""Progress of long steps on stderr: bars with speed and time left, when a person is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(title: str, total: int, done: int = 0, *, size: bool) -> Iterator[Callable]:
    """Show a bar while the block runs; nothing where stderr is not a terminal.

    Args:
        title: what is going on.
        total: units in all.
        done: units that are done already.
        size: whether units are bytes rather than things to count.

    Yields:
        a function to call with the number of units that are done.

    Example:
        >>> with progress_bar("counting", total=3, size=False) as update:
        ...     update(3)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    counts = (DownloadColumn(), TransferSpeedColumn()) if size else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=total, completed=done)
        yield lambda completed: progress.update(task, completed=completed)
