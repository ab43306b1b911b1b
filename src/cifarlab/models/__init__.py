"""Small-image classifiers: one architecture a file, all made by `create_model`."""

from cifarlab.models import airbench, plain, resnet, tutorial  # noqa: F401  (each registers itself)
from cifarlab.models.layers import adapt
from cifarlab.models.registry import create_model, get_model, list_models, model_options

__all__ = ["adapt", "create_model", "get_model", "list_models", "model_options"]
