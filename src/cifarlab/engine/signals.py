"""Ctrl-C and SIGTERM as a request that the loop answers between two calls."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Stop:
    """`signum` is the signal that asked to stop, None while none has."""

    signum: int | None = None


@contextmanager
def stop_requested() -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM within the block; a second one acts at once, as it would have
    without.

    Outside the main thread Python cannot catch signals, and the block runs as it would have.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}

    def note(signum: int, _frame: object) -> None:
        stop.signum = signum
        signal.signal(signum, before[signum])

    for caught in (signal.SIGINT, signal.SIGTERM):
        before[caught] = signal.signal(caught, note)
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
