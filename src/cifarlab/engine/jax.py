"""Training and inference compiled by JAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from cifarlab.engine.program import DRAWS_A_STEP, Epoch, Program, Sums

State = tuple[list[jax.Array], ...]


class JaxSteps:
    """Steps as a pure function of the model's variables: a whole epoch as one scan on an
    accelerator.

    On a CPU a Python loop of compiled steps is faster than a scan. Keras's variables hold the
    state between calls, so callbacks may read and change it.
    """

    def __init__(self, program: Program):
        self.program = program
        self.images, self.labels = jnp.asarray(program.images), jnp.asarray(program.labels)
        self.whole_epochs = jax.default_backend() != "cpu"
        groups = (
            program.model.trainable_variables,
            program.model.non_trainable_variables,
            program.augment.non_trainable_variables,
            program.model.optimizer.variables,
            program.remembered,
        )
        self.variables = [list(group) for group in groups]
        # On a CPU NumPy may hold views of the very buffers that donation would overwrite.
        donate = ("state",) if self.whole_epochs else ()
        self.one = jax.jit(self._step, static_argnames=("size",), donate_argnames=donate)
        self.many = jax.jit(self._scan, static_argnames=("size", "count"), donate_argnames=donate)

    def start_epoch(self, epoch: Epoch) -> None:
        """Bring to the device what an epoch needs."""
        batches = (-1, self.program.batch_size)
        self.epoch = (
            jnp.asarray(epoch.order.reshape(batches)),
            jnp.asarray(epoch.mirrored.reshape(batches)),
            jnp.asarray(epoch.keys, "uint32"),
        )
        self.size = epoch.size  # a new size is a new program

    def run(self, start: int, stop: int, sums: Sums) -> Sums:
        """Train steps ``start`` to ``stop - 1``."""
        state = tuple([v.value for v in group] for group in self.variables)
        carry = (
            state,
            (jnp.float32(sums.loss), jnp.float32(sums.correct), jnp.int32(sums.bad_step)),
        )
        data = (self.images, self.labels, *self.epoch)
        if self.whole_epochs:
            carry = self.many(*carry, data, start, size=self.size, count=stop - start)
        else:
            for step in range(start, stop):
                carry = self.one(*carry, data, step, size=self.size)
        state, (loss, correct, bad) = carry
        for group, values in zip(self.variables, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return Sums(np.float32(loss), np.float32(correct), np.int32(bad))

    def _scan(
        self, state: State, sums: tuple, data: tuple, start: int, *, size: int, count: int
    ) -> tuple:
        def body(carry: tuple, step: jax.Array) -> tuple:
            state, sums = carry
            return self._step(state, sums, data, step, size=size), None

        return jax.lax.scan(body, (state, sums), start + jnp.arange(count))[0]

    def _step(self, state: State, sums: tuple, data: tuple, step: Any, *, size: int) -> tuple:
        """One batch forward, backward and applied; (state, sums)."""
        p, (images, labels, order, mirrored, keys) = self.program, data
        weights, other, augment_state, optimizer_state, remembered = state
        other, augment_state = self._seeded(other, augment_state, keys, step)
        index = order[step]
        pixels, augment_state = p.augment.stateless_call(
            [], augment_state, images[index], mirrored[step], size=size
        )
        labels = labels[index]
        differentiate = jax.value_and_grad(partial(self._loss, labels=labels), has_aux=True)
        (_, (loss, logits, other)), gradients = differentiate(weights, other, pixels)
        weights, optimizer_state = p.model.optimizer.stateless_apply(
            optimizer_state, gradients, weights
        )
        target = labels.argmax(-1) if labels.ndim == 2 else labels
        loss_sum, correct, bad = sums
        bad = jnp.where((bad < 0) & ~jnp.isfinite(loss), jnp.int32(step), bad)
        right = (logits.argmax(-1) == target).sum().astype(jnp.float32)
        if remembered:
            each = keras.ops.sparse_categorical_crossentropy(target, logits, from_logits=True)
            remembered = [remembered[0].at[index].set(each), *remembered[1:]]
        state = (list(weights), list(other), list(augment_state), list(optimizer_state), remembered)
        return state, (loss_sum + loss, correct + right, bad)

    def _loss(self, weights: list, other: list, pixels: Any, labels: Any) -> tuple:
        logits, other, losses = self.program.model.stateless_call(
            weights, other, pixels, training=True, return_losses=True
        )
        logits = logits.astype("float32")
        loss = self.program.loss(labels, logits)
        return loss + sum(losses), (loss, logits, other)  # regularisation is trained, not reported

    def _seeded(self, other: list, augment_state: list, keys: Any, step: Any) -> tuple[list, list]:
        """The non-trainable values with every random layer's state set for `step`."""
        values, n = [*other, *augment_state], 0
        for i, variable in enumerate([*self.variables[1], *self.variables[2]]):
            if variable.name == "seed_generator_state":
                counter = jnp.uint32(step) * DRAWS_A_STEP
                values[i] = jnp.stack([keys[n], counter]).astype(values[i].dtype)
                n += 1
        return values[: len(other)], values[len(other) :]


def forward(model: Any, network: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A compiled ``images (N, S, S, 3) -> logits (N, C)`` of `network` with `model`'s weights."""

    @jax.jit
    def compiled(trainable: list, other: list, images: Any) -> Any:
        pixels = images.astype("float32")
        logits, _ = network.stateless_call(trainable, other, pixels, training=False)
        return logits

    def call(images: np.ndarray) -> np.ndarray:
        trainable = [v.value for v in model.trainable_variables]
        other = [v.value for v in model.non_trainable_variables]
        return np.asarray(compiled(trainable, other, images))

    return call


def feature_gradients(
    body: Any, head: Any, images: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features of `body` and the gradients of the chosen logits of `head` there; see the engine."""
    features = body(jnp.asarray(images, "float32"), training=False)

    def chosen(features: Any) -> Any:
        logits = head(features, training=False)
        return jnp.take_along_axis(logits, jnp.asarray(classes)[:, None], axis=1).sum()

    return np.asarray(features), np.asarray(jax.grad(chosen)(features))
