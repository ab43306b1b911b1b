"""Training and inference compiled by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from cifarlab.engine.program import DRAWS_A_STEP, Epoch, Program, Sums


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Have oneDNN compute matrix products and convolutions in `precision` within the block.

    TensorFlow's graph optimizer puts the casts in, so variables stay float32 and outside the
    block, and in every export, the model is a plain float32 one. Slower than float32 on CPUs
    without bfloat16 instructions.
    """
    option = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({option: precision == "bfloat16"})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({option: False})


class TensorFlowSteps:
    """Steps of an epoch as one `tf.while_loop`, so that many steps cost one call from Python."""

    whole_epochs = False

    def __init__(self, program: Program):
        self.program = program
        self.images = tf.constant(program.images)
        self.labels = tf.constant(program.labels)
        self.compiled = tf.function(self._steps, autograph=False)

    def start_epoch(self, epoch: Epoch) -> None:
        """Bring to the device what an epoch needs."""
        self.epoch = [tf.constant(x) for x in (epoch.order, epoch.mirrored, epoch.keys)]
        self.size = epoch.size  # a new size is a new graph

    def run(self, start: int, stop: int, sums: Sums) -> Sums:
        """Train steps ``start`` to ``stop - 1``."""
        with matrix_products(self.program.precision):
            loss, correct, bad = self.compiled(
                *self.epoch,
                tf.constant(start),
                tf.constant(stop),
                tf.constant(sums.loss),
                tf.constant(sums.correct),
                tf.constant(sums.bad_step),
                size=self.size,
            )
        return Sums(loss.numpy(), correct.numpy(), bad.numpy())

    def _steps(self, order, mirrored, keys, start, stop, loss, correct, bad, *, size):
        def body(step, loss, correct, bad):
            more_loss, more_correct = self._step(order, mirrored, keys, step, size)
            bad = tf.where((bad < 0) & ~tf.math.is_finite(more_loss), step, bad)
            return step + 1, loss + more_loss, correct + more_correct, bad

        state = (start, loss, correct, bad)
        unfinished = lambda step, *_: step < stop  # noqa: E731
        # One iteration at a time: a step must see the weights that the last one left.
        return tf.while_loop(unfinished, body, state, parallel_iterations=1)[1:]

    def _step(self, order: Any, mirrored: Any, keys: Any, step: Any, size: int) -> tuple[Any, Any]:
        """One batch forward, backward and applied; (loss, images classified right)."""
        p, batch = self.program, self.program.batch_size
        for i, state in enumerate(p.generators):
            counter = tf.cast(step, keys.dtype) * DRAWS_A_STEP
            state.assign(tf.cast(tf.stack([keys[i], counter]), state.dtype))
        here = slice(step * batch, (step + 1) * batch)
        index = tf.ensure_shape(order[here], [batch])
        images, labels = tf.gather(self.images, index), tf.gather(self.labels, index)
        pixels = p.augment(images, mirrored[here], size=size)
        weights = p.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = p.model(pixels, training=True)
            loss = p.loss(labels, logits)
            total = tf.add_n([loss, *p.model.losses])  # regularisation is trained, not reported
        p.model.optimizer.apply(tape.gradient(total, weights), weights)
        target = tf.argmax(labels, -1) if len(labels.shape) == 2 else tf.cast(labels, tf.int64)
        if p.memory:
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
            losses = tf.tensor_scatter_nd_update(p.memory.losses, index[:, None], each)
            p.memory.losses.assign(losses)
        right = tf.cast(tf.argmax(logits, -1) == target, tf.float32)
        return loss, tf.reduce_sum(right)


def forward(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A compiled float32 ``images (N, S, S, 3) -> logits (N, C)`` for inference."""
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    compiled = tf.function(
        lambda x: model(x, training=False), autograph=False, input_signature=[spec]
    )
    return lambda images: compiled(tf.cast(tf.constant(images), tf.float32)).numpy()


def feature_gradients(
    body: Any, head: Any, images: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features of `body` and the gradients of the chosen logits of `head` there; see the engine."""
    features = body(tf.cast(tf.constant(images), tf.float32), training=False)
    with tf.GradientTape() as tape:
        tape.watch(features)
        logits = head(features, training=False)
        chosen = tf.reduce_sum(tf.gather(logits, classes, axis=1, batch_dims=1))
    return features.numpy(), tape.gradient(chosen, features).numpy()
