"""Models by name: a model's name is the name of the function that builds it."""

from __future__ import annotations

import fnmatch
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cifarlab.errors import UnknownNameError, UsageError
from cifarlab.models.describe import telling_line

if TYPE_CHECKING:
    import keras

_MODELS: dict[str, Callable[..., keras.Model]] = {}

# What every model takes; a model's further arguments are its options.
COMMON = ("num_classes", "image_size", "mean", "std")


def register(function: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Decorator that lists a model function under its own name, which no other may have."""
    if function.__name__ in _MODELS:
        raise ValueError(f"the model {function.__name__!r} is registered twice")
    _MODELS[function.__name__] = function
    return function


def list_models(pattern: str = "*") -> list[str]:
    """Names of the models that match a shell pattern, sorted.

    Example:
        >>> list_models("tutorial*")
        ['tutorial_cnn']
    """
    return sorted(fnmatch.filter(_MODELS, pattern))


def get_model(name: str) -> Callable[..., keras.Model]:
    """The function that builds `name`; `UnknownNameError` names the nearest where there is none."""
    if name not in _MODELS:
        raise UnknownNameError("model", name, _MODELS)
    return _MODELS[name]


def model_options(name: str) -> dict[str, Any]:
    """The options of a model beyond `COMMON`, with their defaults."""
    parameters = inspect.signature(get_model(name)).parameters
    return {key: p.default for key, p in parameters.items() if key not in COMMON}


def create_model(
    name: str,
    *,
    num_classes: int,
    image_size: int | None = 32,
    mean: tuple[float, ...] = (0.0, 0.0, 0.0),
    std: tuple[float, ...] = (255.0, 255.0, 255.0),
    **options: Any,
) -> keras.Model:
    """Build a model: float pixels in [0, 255] of shape (N, S, S, 3) in, logits (N, num_classes)
    out.

    Args:
        name: one of `list_models`.
        num_classes: classes, 2 or more.
        image_size: S, the side of the images in pixels; None for any, if the model can.
        mean, std: of each channel, on the scale of 0 to 255; the model's first layer takes them
            off.
        options: the model's own, see `model_options`.

    Raises:
        UnknownNameError: no such model or option.
        UsageError: an option with a value that the model cannot be built with.

    Example:
        >>> create_model("tutorial_cnn", num_classes=10).count_params()
        122570
    """
    function, known = get_model(name), model_options(name)
    if unknown := options.keys() - known:
        raise UnknownNameError(f"option of {name}", min(unknown), known)
    common = {"num_classes": num_classes, "image_size": image_size, "mean": mean, "std": std}
    try:
        return function(**common, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the model {name} cannot be built with {image_size or 'any'}-pixel images and "
            f"{options}: {telling_line(str(error))}"
        ) from error
