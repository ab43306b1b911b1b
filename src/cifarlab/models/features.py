"""What a model sees in an image just before it decides: its features."""

from __future__ import annotations

import keras
from keras import layers


def with_features(model: keras.Model) -> keras.Model:
    """The same network, sharing its weights, which gives features beside the logits.

    The features are what goes into the last layer with weights, the head, made flat.

    Args:
        model: pixels (N, S, S, 3) in, logits (N, C) out.

    Returns:
        pixels in, float (N, D + C) out: D features, then the C logits.

    Example:
        >>> from cifarlab.models import create_model
        >>> with_features(create_model("tutorial_cnn", num_classes=10)).output_shape
        (None, 74)
    """
    head = [layer for layer in model.layers if layer.weights][-1]
    flat = layers.Flatten(name="features")(head.input)
    joined = layers.Concatenate(name="features_and_logits")([flat, model.output])
    return keras.Model(model.inputs, joined, name=f"{model.name}_with_features")
