"""What a model sees in an image: its features just before it decides, or half way there."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def with_features(model: keras.Model, *, middle: bool = False) -> keras.Model:
    """The same network, sharing its weights, which gives features beside the logits.

    The features are what goes into the last layer with weights, the head, made flat.

    Args:
        model: pixels (N, S, S, 3) in, logits (N, C) out.
        middle: instead, the mean over each map of the last activation before the maps are halved
            for the last time: what the image is made of, more than what it shows.

    Returns:
        pixels in, float (N, D + C) out: D features, then the C logits.

    Raises:
        ValueError: `middle` of a model whose activations all have maps of one size.

    Example:
        >>> from cifarlab.models import create_model
        >>> model = create_model("tutorial_cnn", num_classes=10)
        >>> with_features(model).output_shape, with_features(model, middle=True).output_shape
        ((None, 74), (None, 74))
    """
    if middle:
        features = layers.GlobalAveragePooling2D(name="features")(_middle(model))
    else:
        last = [layer for layer in model.layers if layer.weights][-1]
        features = layers.Flatten(name="features")(last.input)
    joined = layers.Concatenate(name="features_and_logits")([features, model.output])
    return keras.Model(model.inputs, joined, name=f"{model.name}_with_features")


def _middle(model: keras.Model) -> Any:
    """The last activation (N, S, S, D) whose maps are larger than those of the last one."""
    activated = [
        layer.output for layer in model.layers if activates(layer) and len(layer.output.shape) == 4
    ]
    side = model.input_shape[1] or 64  # a model for images of any size is asked about one
    shapes = keras.Model(model.inputs, activated).compute_output_shape((1, side, side, 3))
    sizes = [shape[1] for shape in shapes]
    larger = [o for o, size in zip(activated, sizes, strict=True) if size > sizes[-1]]
    if not larger:
        raise ValueError(f"{model.name} has no maps of different sizes, and so no middle")
    return larger[-1]


def activates(layer: keras.Layer) -> bool:
    """Whether a layer is an activation, or ends in one as ``Conv2D(activation="relu")`` does.

    Example:
        >>> activates(layers.ReLU()), activates(layers.Conv2D(4, 3))
        (True, False)
    """
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return isinstance(layer, layers.ReLU) or activation != "linear"
