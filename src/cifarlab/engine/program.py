"""What a compiled training step is made of, and what goes in and comes out, on any backend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

# Draws that one random layer may make in one step before it meets the next step's numbers.
DRAWS_A_STEP = 64
# In the place of an epoch's number: the key of what is drawn once for all epochs.
COINS = 2**63


class Memory:
    """What a training remembers of each image, as Keras variables float32 (N,).

    Attributes:
        losses: cross-entropy when the image was last trained on.
        ranking: what `losses` was when the epoch began, which decides the epoch's order.
    """

    def __init__(self, count: int):
        zeros = np.zeros(count, "float32")
        self.losses = keras.Variable(zeros, trainable=False, name="losses")
        self.ranking = keras.Variable(zeros, trainable=False, name="ranking")

    @property
    def variables(self) -> list[Any]:
        """Both, to be kept in a checkpoint."""
        return [self.losses, self.ranking]

    def begin_epoch(self) -> None:
        """Rank by the losses of now."""
        # By way of NumPy: on JAX the two would share one buffer, which may not be donated twice.
        self.ranking.assign(keras.ops.convert_to_numpy(self.losses))


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
        sizes: pixels a side of training images, for equal shares of the epochs; () as they are.
        crop: pixels a side of the squares out of the images that are brought to those sizes.
        hard: share of the images, the hardest, that an epoch visits, for equal shares of the
            epochs; () all of them always.
        memory: of how hard each image is; None where `hard` is ().
    """

    model: Any
    augment: Any
    loss: Any
    images: np.ndarray
    labels: np.ndarray
    batch_size: int
    precision: str
    sizes: tuple[int, ...] = ()
    crop: int = 0
    hard: tuple[float, ...] = ()
    memory: Memory | None = None

    def size(self, epoch: int, epochs: int) -> int:
        """Pixels a side of the images that `epoch` of `epochs` trains on."""
        sizes = self.sizes or (self.images.shape[1],)
        return sizes[epoch * len(sizes) // epochs]

    def hardest(self, epoch: int, epochs: int) -> int:
        """How many images `epoch` of `epochs` visits: whole batches, or all images."""
        count = len(self.images)
        share = self.hard[epoch * len(self.hard) // epochs] if self.hard else 1.0
        batches = math.ceil(share * count / self.batch_size)
        return min(count, batches * self.batch_size)

    @property
    def remembered(self) -> list[Any]:
        """Variables that are neither the model's nor the optimizer's."""
        return self.memory.variables if self.memory else []

    def whole_size(self, epoch: int, epochs: int) -> int:
        """Pixels a side of whole images at the scale that `epoch` of `epochs` trains on."""
        side = self.images.shape[1]
        return round(side * self.size(epoch, epochs) / (self.crop or side))

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


@dataclass(frozen=True)
class Epoch:
    """What one epoch needs besides the program, a pure function of (seed, epoch).

    Attributes:
        order: images to visit, int32 (steps * batch_size,).
        mirrored: which of those are flipped where flips alternate, bool (steps * batch_size,).
        keys: of the random layers, int64 (layers,).
        size: pixels a side of the images that the model sees.
    """

    order: np.ndarray
    mirrored: np.ndarray
    keys: np.ndarray
    size: int


def plan_epoch(program: Program, seed: int, epoch: int, epochs: int) -> Epoch:
    """What `epoch` of `epochs`, counted from 0, needs.

    A pure function of its arguments, where the program has a memory of that too.
    """
    count = len(program.images)
    order = epoch_order(seed, epoch, count, program.batch_size)
    again = np.zeros(len(order), bool)
    hardest = program.hardest(epoch, epochs)
    if program.memory and hardest < count:
        ranking = keras.ops.convert_to_numpy(program.memory.ranking)
        order, again = hard_order(seed, epoch, ranking, hardest, len(order))
    return Epoch(
        order=order,
        mirrored=epoch_mirrored(seed, epoch, count)[order] ^ again,
        keys=epoch_keys(seed, epoch, len(program.generators)),
        size=program.size(epoch, epochs),
    )


class Steps(Protocol):
    """A backend's compiled training steps."""

    def start_epoch(self, epoch: Epoch) -> None:
        """Bring to the device what an epoch needs."""

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


def hard_order(
    seed: int, epoch: int, ranking: np.ndarray, hardest: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The order int32 (length,) in which an epoch visits its `hardest` images again and again, and
    in which of its rounds each visit is an odd one, bool (length,).

    Example:
        >>> order, again = hard_order(0, 0, np.array([0.5, 3.0, 0.1, 2.0]), hardest=2, length=5)
        >>> sorted(order[:4].tolist()), again.tolist()
        ([1, 1, 3, 3], [False, False, True, True, False])
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, epoch]))
    images = np.argsort(-ranking, kind="stable")[:hardest].astype(np.int32)
    rounds = np.arange(length) // hardest
    order = np.concatenate([generator.permutation(images) for _ in range(rounds[-1] + 1)])
    return order[:length], rounds % 2 == 1


def epoch_mirrored(seed: int, epoch: int, count: int) -> np.ndarray:
    """Which of `count` images are mirrored in an epoch, bool (count,): half at random in the
    first, then each every other time.

    So two epochs show both sides of every image, which drawing anew does for half of them (Jordan
    2024, arXiv:2404.00498).

    Example:
        >>> (epoch_mirrored(0, 0, 4) ^ epoch_mirrored(0, 1, 4)).tolist()
        [True, True, True, True]
    """
    coins = np.random.Generator(np.random.Philox(key=[seed, COINS])).random(count) < 0.5
    return coins ^ bool(epoch % 2)


def epoch_keys(seed: int, epoch: int, count: int) -> np.ndarray:
    """Random keys of the model's `count` random layers in an epoch, int64 in [0, 2**31)."""
    keys = np.random.SeedSequence([seed, epoch]).generate_state(max(count, 1), np.uint32)
    return (keys >> 1).astype(np.int64)
