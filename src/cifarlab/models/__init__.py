"""Small-image classifiers: one architecture a file, all made by `create_model`."""

from cifarlab.models import (  # noqa: F401  (each registers itself)
    airbench,
    convmixer,
    lenet,
    mobilenet,
    plain,
    resnet,
    tutorial,
    vgg,
    wide_resnet,
)
from cifarlab.models.cost import multiply_adds, training_operations
from cifarlab.models.layers import adapt
from cifarlab.models.registry import create_model, get_model, list_models, model_options

__all__ = [
    "adapt",
    "create_model",
    "get_model",
    "list_models",
    "model_options",
    "multiply_adds",
    "training_operations",
]
