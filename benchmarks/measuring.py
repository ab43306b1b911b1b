"""What the measurements of speed share: calls that take turns, memory, kinds of arguments."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

Times = dict[str, list[float]]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that `call` took, and what it gave."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def repeat(call: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        call()


def interleave(
    calls: dict[str, Callable[[], Any]],
    seconds: float = 0.0,
    least: int = 3,
    before: Callable[[], None] = lambda: None,
) -> Times:
    """Seconds of each call, in rounds of them all, so that a slower minute slows them all.

    The first round, in which programs are compiled and caches filled, is not counted.

    Args:
        calls: by name.
        seconds: go on until they are over, the first round included.
        least: counted rounds at least.
        before: runs before each round.
    """
    times: Times = {name: [] for name in calls}
    began, rounds = time.perf_counter(), -1
    while rounds < least or time.perf_counter() - began < seconds:
        before()
        for name, call in calls.items():
            taken, _ = timed(call)
            if rounds >= 0:
                times[name].append(taken)
        rounds += 1
    return times


def peak_memory_bytes() -> int | None:
    """The most memory that this process has had; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def positive(text: str) -> int:
    """The type of an argument: a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more. Received: {text}")
    return int(text)
