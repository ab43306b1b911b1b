"""The CNN of the first lesson: two poolings, three convolutions, two dense layers.

The network with which most people meet CIFAR-10; about 70 % on its test set after ten epochs.
Normalisation is a layer here (the lesson divides by 255 beforehand); nothing else differs.
"""

from __future__ import annotations

import keras
from keras import layers

from cifarlab.models.layers import pixels
from cifarlab.models.registry import register


@register
def tutorial_cnn(
    *, num_classes: int, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> keras.Model:
    """Conv 32, pool, Conv 64, pool, Conv 64, Dense 64, logits; 122,570 parameters."""
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)  # (N, 30, 30, 32)
    x = layers.MaxPooling2D(2, name="pool1")(x)  # (N, 15, 15, 32)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)  # (N, 13, 13, 64)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (N, 6, 6, 64)
    x = layers.Conv2D(64, 3, activation="relu", name="conv3")(x)  # (N, 4, 4, 64)
    x = layers.Flatten(name="flatten")(x)  # (N, 1024)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="tutorial_cnn")
