"""A trained network rebuilt of stock Keras layers alone, for those who deploy it.

What only training needs is gone: a layer with a faster gradient becomes the plain one that it
descends from, dropout is left out, batch normalisation goes into the convolution before it. What a
consumer could forget is inside: the cast from whole-number pixels, the temperature, the softmax.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from cifarlab.errors import ExportError
from cifarlab.export.folding import fold, foldable
from cifarlab.runtimes import INPUT, LOGITS, PROBABILITIES

ONLY_IN_TRAINING = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.SpatialDropout2D,
)
# How weights began and what held them small in training; a deployed layer has no use for it.
OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def deployable(model: keras.Model, image_size: int, temperature: float = 1.0) -> keras.Model:
    """The same function in stock layers and float32, calibrated.

    Args:
        model: functional; float pixels (N, S, S, 3) in [0, 255] in, logits (N, C) out.
        image_size: S.
        temperature: by which the logits are divided before the softmax.

    Returns:
        A model with the input ``images``, uint8 (N, S, S, 3), and the outputs ``probabilities`` and
        ``logits``, both float32 (N, C), as a dictionary.

    Raises:
        ExportError: a layer has no stock form.

    Example:
        >>> from cifarlab.models import create_model
        >>> model = deployable(create_model("resnet20", num_classes=10, image_size=32), 32)
        >>> sorted(model.output_names)
        ['logits', 'probabilities']
    """
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name=INPUT)
    rebuilt = keras.models.clone_model(
        model, images, clone_function=lambda operation: operation, call_function=Rebuild(model)
    )
    network = rebuilt.outputs[0]
    # Some formats know an output by its key, others by the name of the layer that makes it.
    logits = layers.Activation("linear", dtype="float32", name=LOGITS)(network)
    scaled = layers.Rescaling(1.0 / temperature, dtype="float32", name="temperature")(network)
    probabilities = layers.Softmax(dtype="float32", name=PROBABILITIES)(scaled)
    outputs = {PROBABILITIES: probabilities, LOGITS: logits}
    return keras.Model(images, outputs, name=model.name)


class Rebuild:
    """Calls, in place of an operation of a model, its stock form with the same weights.

    Args:
        model: functional, each layer called once.
    """

    def __init__(self, model: keras.Model):
        found = foldable(model)
        self.folded = set(found)
        self.affine = dict(found.values())

    def __call__(self, operation: Any, *arguments: Any, **options: Any) -> Any:
        """What `operation` gives for these arguments, in inference."""
        if operation.name in self.folded or isinstance(operation, ONLY_IN_TRAINING):
            return arguments[0]
        if isinstance(operation, layers.Layer):
            return self._layer(operation, *arguments)
        match type(operation).__name__:  # these classes have no public name
            case "GetItem":
                return take_every(*arguments, **options)
            case "Pad":
                return pad_channels(arguments[0], operation.pad_width)
        raise ExportError(f"the operation {operation.name} has no stock layer; make it one")

    def _layer(self, original: layers.Layer, *inputs: Any) -> Any:
        affine = self.affine.get(original.name)
        layer = stock(original, **({"use_bias": True} if affine else {}))
        outputs = layer(*inputs)
        layer.set_weights(fold(original, affine) if affine else original.get_weights())
        return outputs


def stock(layer: layers.Layer, **changes: Any) -> layers.Layer:
    """The layer of Keras's own that `layer` is or descends from, unbuilt, float32.

    Args:
        changes: of its configuration.

    Raises:
        ExportError: it descends from no layer that computes anything.

    Example:
        >>> from cifarlab.models.layers import PatchWhitening
        >>> type(stock(PatchWhitening(name="whiten"))).__name__
        'Conv2D'
    """
    kind: Any = next(kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
    if kind in (layers.Layer, keras.Model):
        raise ExportError(f"the layer {layer.name} ({type(layer).__name__}) has no stock form")
    config = {k: v for k, v in kind.get_config(layer).items() if not k.endswith(OF_TRAINING)}
    name = f"network_{layer.name}" if layer.name in (INPUT, LOGITS, PROBABILITIES) else layer.name
    return kind.from_config({**config, "dtype": "float32", "name": name, **changes})


def take_every(images: Any, key: tuple[slice, ...]) -> Any:
    """``images[:, ::step, ::step]``, (N, H, W, C) to (N, ceil(H / step), …), as a pooling."""
    batch, rows, columns = key
    if batch != slice(None) or rows != columns or rows != slice(None, None, rows.step):
        raise ExportError(f"the slice {key} has no stock layer; make it one")
    return layers.MaxPooling2D(1, strides=rows.step)(images)


def pad_channels(images: Any, widths: tuple[tuple[int, int], ...]) -> Any:
    """(N, H, W, C) to (N, H, W, before + C + after) with zeros, as a 1x1 convolution."""
    *others, (before, after) = widths
    if any(sum(width) for width in others):
        raise ExportError(f"the padding {widths} has no stock layer; make it one")
    count = images.shape[-1]
    layer = layers.Conv2D(before + count + after, 1, use_bias=False, dtype="float32")
    outputs = layer(images)
    layer.set_weights([np.eye(count, before + count + after, before)[None, None]])
    return outputs
