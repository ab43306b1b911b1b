"""What a compiled training step is made of, and what goes in and comes out, on any backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

# Draws that one random layer may make in one step before it meets the next step's numbers.
DRAWS_A_STEP = 64


@dataclass(frozen=True)
class Program:
    """A training as data: the step that a backend compiles.

    Attributes:
        model: pixels to logits, compiled with its optimizer.
        augment: layer from uint8 images to float32 pixels.
        loss: Keras loss of (labels, logits).
        images: uint8 (N, S, S, 3).
        labels: int (N,) or one-hot float32 (N, C).
        batch_size: images a step.
        precision: of the matrix products, ``"float32"`` or ``"bfloat16"``.
    """

    model: Any
    augment: Any
    loss: Any
    images: np.ndarray
    labels: np.ndarray
    batch_size: int
    precision: str

    @property
    def generators(self) -> list[Any]:
        """States of all random layers: (2,) integer variables of (key, counter)."""
        variables = [*self.model.non_trainable_variables, *self.augment.non_trainable_variables]
        return [v for v in variables if v.name == "seed_generator_state"]

    @property
    def steps(self) -> int:
        """Steps an epoch; the last batch is filled up, see `epoch_order`."""
        return -(-len(self.images) // self.batch_size)


ZERO, NONE_YET = np.float32(0), np.int32(-1)


@dataclass
class Sums:
    """Sums over the steps of an epoch so far.

    They live in float32 on the device and are added to step by step, so that where the epoch was
    cut into calls, or interrupted, leaves no trace in them.
    """

    loss: np.float32 = ZERO
    correct: np.float32 = ZERO
    bad_step: np.int32 = NONE_YET  # the first step whose loss was not finite; -1: none


class Steps(Protocol):
    """A backend's compiled training steps."""

    def start_epoch(self, order: np.ndarray, keys: np.ndarray) -> None:
        """Bring an epoch's order, int32 (steps * batch_size,), and random keys to the device."""

    def run(self, start: int, stop: int, sums: Sums) -> Sums:
        """Train steps ``start`` to ``stop - 1`` of the epoch; the model's variables change."""

    @property
    def whole_epochs(self) -> bool:
        """Whether `run` is fastest over a whole epoch at once (accelerators)."""


def epoch_order(seed: int, epoch: int, count: int, batch_size: int) -> np.ndarray:
    """The order in which an epoch visits the images, int32 (steps * batch_size,).

    A pure function of its arguments. The last batch is filled up from the epoch's first images, so
    that all batches have one shape, hence one compiled program, and none is so small that its
    statistics are poor.

    Example:
        >>> epoch_order(seed=0, epoch=1, count=5, batch_size=3).tolist()
        [0, 2, 4, 1, 3, 0]
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    order = generator.permutation(count).astype(np.int32)
    return np.resize(order, -(-count // batch_size) * batch_size)


def epoch_keys(seed: int, epoch: int, count: int) -> np.ndarray:
    """Random keys of the model's `count` random layers in an epoch, int64 in [0, 2**31)."""
    keys = np.random.SeedSequence([seed, epoch]).generate_state(max(count, 1), np.uint32)
    return (keys >> 1).astype(np.int64)
