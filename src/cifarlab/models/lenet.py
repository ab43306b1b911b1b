"""LeNet-5: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86(11), section II.B.

Two convolutions of 5x5, each followed by subsampling, then dense layers: read digits on cheques,
and has the size of its time. Differences: three colour channels in; each map of the second
convolution sees all six of the first (the paper wires 60 of the 96 pairs); ReLU and max pooling in
place of the scaled tanh and trained averages; logits in place of radial basis functions.
"""

from __future__ import annotations

import keras
from keras import layers

from cifarlab.models.layers import pixels
from cifarlab.models.registry import register


@register
def lenet5(
    *, num_classes: int, image_size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> keras.Model:
    """LeNet-5: 62,006 parameters, 0.65 million multiply-adds an image."""
    inputs, x = pixels(image_size, mean, std)  # (N, 32, 32, 3)
    x = layers.Conv2D(6, 5, activation="relu", name="c1")(x)  # (N, 28, 28, 6)
    x = layers.MaxPooling2D(2, name="s2")(x)  # (N, 14, 14, 6)
    x = layers.Conv2D(16, 5, activation="relu", name="c3")(x)  # (N, 10, 10, 16)
    x = layers.MaxPooling2D(2, name="s4")(x)  # (N, 5, 5, 16)
    x = layers.Flatten(name="flatten")(x)  # (N, 400)
    x = layers.Dense(120, activation="relu", name="c5")(x)
    x = layers.Dense(84, activation="relu", name="f6")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="lenet5")
