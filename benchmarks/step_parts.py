"""The parts of a training step, each compiled alone as the engine compiles the whole; the matrix
product that they are measured against; and how much work they are. `step.py` times them.

What is given back to be called and timed waits until its result is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[], Any]


def tensorflow_parts(program: Any, steps: Any, epoch: Any) -> dict[str, Call]:
    """Each part as a graph of its own, under the engine's precision."""
    import tensorflow as tf

    batch, model = program.batch_size, program.model
    order, mirrored = tf.constant(epoch.order[:batch]), tf.constant(epoch.mirrored[:batch])
    labels, weights = tf.gather(steps.labels, order), model.trainable_variables

    def data() -> Any:
        return program.augment(tf.gather(steps.images, order), mirrored, size=epoch.size)

    def forward() -> Any:
        loss = program.loss(labels, model(pixels, training=True))
        return tf.add_n([loss, *model.losses])

    def gradients() -> Any:
        with tf.GradientTape() as tape:
            loss = forward()
        return tape.gradient(loss, weights)

    pixels = data()
    found = tensorflow_call(gradients, program.precision)()
    parts = {
        "data": data,
        "forward": forward,
        "forward + backward": gradients,
        "update": lambda: model.optimizer.apply(found, weights),
    }
    return {name: tensorflow_call(part, program.precision) for name, part in parts.items()}


def tensorflow_call(function: Call, precision: str) -> Call:
    """`function` as the engine would compile and call it."""
    import tensorflow as tf

    from cifarlab.engine.tensorflow import matrix_products

    compiled = tf.function(function, autograph=False)

    def call() -> Any:
        with matrix_products(precision):
            result = compiled()
        tf.test.experimental.sync_devices()
        return result

    return call


def tensorflow_limit(side: int, dtype: str) -> Call:
    import tensorflow as tf

    a, b = (tf.cast(tf.random.normal((side, side), seed=s), dtype) for s in (1, 2))
    return tensorflow_call(lambda: tf.matmul(a, b), "float32")  # the inputs say the precision


def jax_parts(program: Any, steps: Any, epoch: Any) -> dict[str, Call]:
    """Each part as a pure function of its own, compiled."""
    import jax

    batch, model, optimizer = program.batch_size, program.model, program.model.optimizer
    index, mirrored = epoch.order[:batch], epoch.mirrored[:batch]
    labels = steps.labels[index]

    @jax.jit
    def data(state: Any, images: Any) -> Any:
        seeds, chosen = state[2], images[index]
        return program.augment.stateless_call([], seeds, chosen, mirrored, size=epoch.size)[0]

    def loss(weights: Any, other: Any, pixels: Any) -> Any:
        logits, other, losses = model.stateless_call(
            weights, other, pixels, training=True, return_losses=True
        )
        return program.loss(labels, logits) + sum(losses), other

    def state() -> Any:  # a step on an accelerator takes the buffers that it was given
        return [[variable.value for variable in group] for group in steps.variables]

    forward, backward = jax.jit(loss), jax.jit(jax.value_and_grad(loss, has_aux=True))
    pixels = data(state(), steps.images)
    found = backward(*state()[:2], pixels)[1]
    update = jax.jit(lambda state: optimizer.stateless_apply(state[3], found, state[0]))
    return {
        "data": lambda: jax.block_until_ready(data(state(), steps.images)),
        "forward": lambda: jax.block_until_ready(forward(*state()[:2], pixels)),
        "forward + backward": lambda: jax.block_until_ready(backward(*state()[:2], pixels)),
        "update": lambda: jax.block_until_ready(update(state())),
    }


def jax_limit(side: int, dtype: str) -> Call:
    import jax

    keys = jax.random.split(jax.random.key(0))
    a, b = (jax.random.normal(key, (side, side), dtype) for key in keys)
    product = jax.jit(lambda a, b: a @ b)
    return lambda: jax.block_until_ready(product(a, b))


def keep_weights(model: Any) -> Callable[[], None]:
    """A function that puts all of the model's and optimizer's values back to what they are now.

    Else hundreds of updates with one gradient would drive them out of the range of floats.
    """
    variables = [*model.weights, *model.optimizer.variables]
    values = [np.array(variable.numpy()) for variable in variables]

    def restore() -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    return restore


def count_flops(model: Any, size: int) -> tuple[int, int]:
    """Operations of convolutions and dense layers on one image: (forward, training)."""
    import keras

    layers = [x for x in model.layers if isinstance(x, keras.layers.Conv2D | keras.layers.Dense)]
    probe = keras.Model(model.inputs, [layer.output for layer in layers])
    outputs = probe.compute_output_spec(keras.KerasTensor((1, size, size, 3)))
    shapes = {x.name: y.shape for x, y in zip(layers, keras.tree.flatten(outputs), strict=True)}
    forward = training = 0
    trained_before = False
    for layer in model.layers:  # in forward order
        if layer.name in shapes:
            kernel = layer.kernel
            one = 2 * math.prod(kernel.shape) * math.prod(shapes[layer.name][1:-1])
            forward += one
            training += one * (1 + bool(kernel.trainable) + trained_before)
        trained_before |= bool(layer.trainable_weights)
    return forward, training
