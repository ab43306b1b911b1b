"""How a training looks while it runs: a live line in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

from rich.live import Live
from rich.text import Text

from cifarlab.cli import console

COLUMNS = "epoch   seconds      rate      loss  accuracy  val_loss  val_accuracy"
ROWS = 30  # printed at most, beside the last: few images may mean hundreds of epochs


class TrainingDisplay:
    """Prints a row an epoch, or one in so many that `ROWS` are enough, and the last; in a terminal
    also the step, speed, time spent waiting and what is left.

    Args:
        live: what draws the moving line; None where the output is not a terminal.
    """

    def __init__(self, live: Live | None):
        self.live = live
        self.epochs = self.steps = self.stride = 1
        self.unprinted: dict[str, Any] | None = None  # the newest row, where it was not its turn
        self.paced_from: tuple[float, float] | None = None  # clock and epochs done

    def begin(self, what: str, epochs: int, steps: int) -> None:
        """Say what is trained, and head the rows."""
        self.epochs, self.steps, self.stride = epochs, steps, _stride(epochs)
        if self.stride > 1:
            what += f" ({epochs} epochs: one in {self.stride} is printed, all are in history.csv)"
        console.say(what, COLUMNS)

    def step(self, epoch: int, step: int, logs: dict[str, float]) -> None:
        """Redraw the moving line."""
        if self.live is None:
            return
        now, done = time.monotonic(), epoch + step / self.steps
        if self.paced_from is None:  # the first call compiles, which says nothing of the pace
            self.paced_from = now, done
        began, start = self.paced_from
        left = (now - began) / (done - start) * (self.epochs - done) if done > start else None
        self.live.update(
            Text(
                f"epoch {epoch + 1}/{self.epochs}  step {step}/{self.steps}  "
                f"loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}  "
                f"{logs['images_per_second']:,.0f} images/s  "
                f"waiting for data {logs['waiting']:.1%}  left {_clock(left)}",
                style="cyan",
            )
        )

    def epoch(self, row: dict[str, Any]) -> None:
        """Print a finished epoch if it is its turn, or the last."""
        self.unprinted = row
        if row["epoch"] % self.stride == 0 or row["epoch"] == self.epochs:
            self.flush()

    def flush(self) -> None:
        """Print the newest row if it is not printed yet: nobody knew that it would be the last."""
        row, self.unprinted = self.unprinted, None
        if row is None:
            return
        console.say(
            f"{row['epoch']:5d}{row['seconds']:10.1f}  {row['learning_rate']:.2e}"
            f" {row['loss']:9.4f} {row['accuracy']:9.4f}"
            + "".join(
                f" {row[key]:{width}.4f}" if row.get(key) is not None else f" {'-':>{width}}"
                for key, width in (("val_loss", 9), ("val_accuracy", 13))
            )
        )


@contextmanager
def training_display() -> Iterator[TrainingDisplay]:
    """A display that leaves the terminal clean, whatever happens."""
    people = console.people()
    with ExitStack() as ending:
        live = None
        if people.is_terminal:
            live = Live(console=people, transient=True, refresh_per_second=8)
            ending.enter_context(live)
        display = TrainingDisplay(live)
        ending.callback(display.flush)
        yield display


def _stride(epochs: int) -> int:
    """Of how many epochs one is printed: 1, 2, 5, 10, 20, 50, …

    Example:
        >>> [_stride(epochs) for epochs in (4, 30, 39, 130, 390)]
        [1, 1, 2, 5, 20]
    """
    strides = (digit * 10**power for power in count() for digit in (1, 2, 5))
    return next(stride for stride in strides if epochs <= ROWS * stride)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
