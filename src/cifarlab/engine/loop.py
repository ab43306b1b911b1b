"""The epoch loop that every recipe runs: train, validate, call back, save, repeat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from cifarlab.engine.checkpoint import Progress, load_checkpoint, save_checkpoint
from cifarlab.engine.program import Program, Steps, Sums, plan_epoch
from cifarlab.engine.signals import Stop, stop_requested
from cifarlab.errors import Interrupted, TrainingError

# One call into the compiled steps takes about so long: long enough to cost nothing, short enough
# that the progress display moves and Ctrl-C is answered.
SECONDS_A_CALL = 0.3


class Display(Protocol):
    """What is told how a training goes."""

    def begin(self, what: str, epochs: int, steps: int) -> None:
        """Before the first step: what is trained, in words, and for how long."""

    def step(self, epoch: int, step: int, logs: dict[str, float]) -> None:
        """After a call: `logs` holds loss, accuracy, images_per_second, and waiting: the share of
        the epoch's time so far in which the device waited for data."""

    def epoch(self, row: dict[str, Any]) -> None:
        """After an epoch: its row of the history."""


@dataclass
class Loop:
    """One training.

    Attributes:
        program: the step.
        seed: of everything random.
        epochs: how many at most.
        validate: returns (loss, accuracy) on validation at a size of images in pixels; None where
            there is none.
        callbacks: Keras's or the user's.
        checkpoint: file that holds the state after each epoch, and from which to go on if it
            exists.
        on_epoch: called with the history after each epoch is safe in the checkpoint.
        display: is told how it goes; may be None.
        seconds: wall time after `run`: of the first call, which compiles, and of everything else.
    """

    program: Program
    seed: int
    epochs: int
    validate: Callable[[int], tuple[float, float]] | None
    callbacks: list[Any]
    checkpoint: Path
    on_epoch: Callable[[list[dict[str, Any]]], None]
    display: Display | None = None
    seconds: dict[str, float] = field(default_factory=lambda: {"compile": 0.0, "train": 0.0})

    def run(self) -> Progress:
        """Train until the last epoch or until a callback stops it; a checkpoint is gone on from.

        Raises:
            TrainingError: a loss, or a weight after an epoch, was not finite; names the epoch.
            Interrupted: SIGINT or SIGTERM came; the checkpoint holds the last finished step.
        """
        began = time.perf_counter()
        model = self.program.model
        self._build()
        self.steps = make_steps(self.program)
        callbacks = keras.callbacks.CallbackList(
            self.callbacks, model=model, epochs=self.epochs, steps=self.program.steps
        )
        model.stop_training = False
        callbacks.on_train_begin()
        progress = Progress()
        if self.checkpoint.exists():
            progress = load_checkpoint(self.checkpoint, self.program, self.callbacks)
            self.on_epoch(progress.history)
            spent = [progress.seconds, *(row["seconds"] for row in progress.history)]
            self.seconds["train"] += sum(spent)
        with stop_requested() as stop:
            while progress.epoch < self.epochs and not progress.finished:
                callbacks.on_epoch_begin(progress.epoch)
                self._train_epoch(progress, callbacks, stop)
                self._finish_epoch(progress, callbacks)
            if stop.signum is not None:  # it came during the last validation
                self._interrupt(progress, stop.signum)
        # Where the optimizer averages weights, the average takes their place; else nothing happens.
        model.optimizer.finalize_variable_values(model.trainable_variables)
        callbacks.on_train_end()  # early stopping puts the best weights back here
        self.seconds["train"] += time.perf_counter() - began - self.seconds["compile"]
        return progress

    def _build(self) -> None:
        """Create what Keras creates at its first step: optimizer variables and metrics."""
        model, program = self.program.model, self.program
        model.optimizer.build(model.trainable_variables)
        # Callbacks ask the compiled metrics whether more or less of a metric is better.
        logits = np.zeros((2, *model.output_shape[1:]), "float32")
        model.compute_metrics(None, program.labels[:2], logits)

    def _train_epoch(self, progress: Progress, callbacks: Any, stop: Stop) -> None:
        """Run what is left of the epoch, in calls of about `SECONDS_A_CALL`."""
        program, epoch = self.program, progress.epoch
        began = time.perf_counter()
        if program.memory and progress.step == 0:
            program.memory.begin_epoch()
        self.steps.start_epoch(plan_epoch(program, self.seed, epoch, self.epochs))
        waiting, count = time.perf_counter() - began, 1
        progress.seconds += waiting
        by_step = any(_follows_steps(callback) for callback in self.callbacks)
        while progress.step < program.steps:
            left = program.steps - progress.step
            count = left if self.steps.whole_epochs and not by_step else min(count, left)
            callbacks.on_train_batch_begin(progress.step)
            started = time.perf_counter()
            progress.sums = self.steps.run(progress.step, progress.step + count, progress.sums)
            seconds = time.perf_counter() - started
            self.seconds["compile"] = self.seconds["compile"] or seconds  # the first call compiles
            progress.step += count
            progress.seconds += seconds
            logs = _logs(progress, program.batch_size)
            callbacks.on_train_batch_end(progress.step - 1, logs)
            if self.display:
                rate = progress.step * program.batch_size / progress.seconds
                share = waiting / progress.seconds
                shown = {**logs, "images_per_second": rate, "waiting": share}
                self.display.step(epoch, progress.step, shown)
            self._check_finite(epoch, progress.sums)
            if stop.signum is not None:
                self._interrupt(progress, stop.signum)
            faster = max(1, int(count * SECONDS_A_CALL / max(seconds, 1e-6)))
            count = 1 if by_step else min(faster, 4 * count)

    def _finish_epoch(self, progress: Progress, callbacks: Any) -> None:
        """Validate, call back, and make the epoch safe."""
        self._check_weights(progress.epoch)
        logs = _logs(progress, self.program.batch_size)
        optimizer = self.program.model.optimizer
        rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row = {"epoch": progress.epoch + 1, "seconds": round(progress.seconds, 3)}
        row |= {"learning_rate": rate, **logs}
        if self.validate:
            size = self.program.whole_size(progress.epoch, self.epochs)
            row["val_loss"], row["val_accuracy"] = self.validate(size)
        callbacks.on_epoch_end(progress.epoch, {k: v for k, v in row.items() if k not in NOT_LOGS})
        progress.history.append(row)
        progress.epoch, progress.step, progress.seconds = progress.epoch + 1, 0, 0.0
        progress.sums, progress.finished = Sums(), bool(self.program.model.stop_training)
        save_checkpoint(self.checkpoint, self.program, self.callbacks, progress)
        self.on_epoch(progress.history)
        if self.display:
            self.display.epoch(row)

    def _check_finite(self, epoch: int, sums: Sums) -> None:
        if sums.bad_step >= 0:
            raise TrainingError(
                f"the loss is not finite at step {sums.bad_step + 1} of epoch {epoch + 1}; "
                "train again with a lower learning_rate"
            )

    def _check_weights(self, epoch: int) -> None:
        """What the last step of an epoch did to the weights no loss has shown yet."""
        if not all(np.isfinite(weights).all() for weights in self.program.model.get_weights()):
            raise TrainingError(
                f"the weights are not finite after epoch {epoch + 1}; "
                "train again with a lower learning_rate"
            )

    def _interrupt(self, progress: Progress, signum: int) -> None:
        save_checkpoint(self.checkpoint, self.program, self.callbacks, progress)
        where = f"epoch {progress.epoch + 1}, step {progress.step} of {self.program.steps}"
        raise Interrupted(f"interrupted at {where}", signum)


NOT_LOGS = ("epoch", "seconds", "learning_rate")


def make_steps(program: Program) -> Steps:
    """The compiled steps of the backend that Keras runs on."""
    if keras.backend.backend() == "jax":
        from cifarlab.engine.jax import JaxSteps

        return JaxSteps(program)
    from cifarlab.engine.tensorflow import TensorFlowSteps

    return TensorFlowSteps(program)


def _logs(progress: Progress, batch_size: int) -> dict[str, float]:
    """Mean loss and accuracy of the epoch so far."""
    steps = max(progress.step, 1)
    loss, correct = float(progress.sums.loss), float(progress.sums.correct)
    return {"loss": loss / steps, "accuracy": correct / (steps * batch_size)}


def _follows_steps(callback: Any) -> bool:
    """Whether a callback wants to hear of every step, so that steps run one at a time."""
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    base = keras.callbacks.Callback
    # Asked of the callback rather than of its class, because a LambdaCallback has hooks of its own.
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(base, hook)
        for hook in hooks
    )
