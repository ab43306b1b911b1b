"""What a model costs: parameters and multiply-adds, counted as papers count them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# A backward pass costs two forward ones: gradients of the inputs and of the weights. A
# multiply-add is two operations.
OPERATIONS = 2
PASSES = 3


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one image forward: convolutions and dense layers, without biases.

    Normalisation, activations and poolings are left out, as in the papers that give this number
    (He et al. 2015; Howard et al. 2017), often under the name of FLOPs.

    Args:
        model: functional, made for one size of images.

    Example:
        >>> from cifarlab.models import create_model
        >>> multiply_adds(create_model("lenet5", num_classes=10))
        651720
    """
    return sum(_of_layer(layer) for layer in model.layers)


def training_operations(multiply_adds: float, images: float) -> float:
    """Floating-point operations of a training that shows `images` images, forward and backward.

    Example:
        >>> training_operations(1e6, images=10)
        60000000.0
    """
    return OPERATIONS * PASSES * multiply_adds * images


def _of_layer(layer: Any) -> int:
    from keras import layers

    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        # Each place of the output applies the whole kernel once.
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    return math.prod(layer.kernel.shape) if isinstance(layer, layers.Dense) else 0
