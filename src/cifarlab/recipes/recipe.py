"""The recipe: everything that decides a training, as one frozen typed value.

A recipe, a seed and a dataset say exactly what will be computed. It imports no Keras, so listing
and printing recipes is instant. A variant is ``replace(base, name=…, epochs=…)``.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from cifarlab.errors import UnknownNameError, UsageError
from cifarlab.recipes.limits import check, check_effect

Value = Any  # bool, int, float, str, None, or a tuple of them


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of each training image, drawn anew each epoch. All off by default."""

    flip: bool = False  # mirror left and right, half of the images
    alternate: bool = False  # where flip is on: each image every other epoch, not at random
    shift: float = 0.0  # up to this fraction of the side, both ways, whole pixels
    crop: int = 0  # side in pixels of a random square that is trained on; 0 for the whole image
    rotation: float = 0.0  # up to this many degrees, both ways
    zoom: float = 0.0  # scale by a factor in [1 - zoom, 1 + zoom]
    cutout: int = 0  # side in pixels of one square put to grey (DeVries and Taylor 2017)
    brightness: float = 0.0  # lighter or darker by up to this fraction of 255
    contrast: float = (
        0.0  # scale the distance from grey by a factor in [1 - contrast, 1 + contrast]
    )
    blur: float = 0.0  # Gaussian, up to this many pixels of deviation each way, half of the images
    noise: float = 0.0  # normal, of a deviation up to this fraction of 255, half of the images


NO_AUGMENTATION = Augmentation()


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """Lower the learning rate when validation loss stalls (Keras's ``ReduceLROnPlateau``)."""

    factor: float = 0.5
    patience: int = 3  # epochs
    minimum: float = 1e-6
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when validation stalls, with the best epoch's weights (Keras's ``EarlyStopping``)."""

    patience: int = 10  # epochs
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    restore_best: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training, except the seed and the dataset.

    Example:
        >>> base = Recipe(name="mine", summary="my first", model="tutorial_cnn", epochs=3)
        >>> dataclasses.replace(base, batch_size=64).batch_size
        64
        >>> Recipe.from_json(base.to_json()) == base
        True
    """

    name: str
    summary: str
    model: str
    model_options: Mapping[str, Value] = field(default_factory=dict)

    # the data
    image_size: int = 32  # pixels a side
    pixels: Literal["unit", "standard"] = "unit"  # / 255, or zero mean and unit deviation a channel
    labels: Literal["integer", "one-hot"] = "integer"
    validation: float = 0.1  # fraction carved from train where the dataset has no validation split
    augmentation: Augmentation = NO_AUGMENTATION
    sizes: tuple[int, ...] = ()  # of training images, for equal shares of the epochs; () image_size
    hard: tuple[float, ...] = ()  # share of the images, the hardest, that epochs visit; () all
    tta: Literal["none", "flip", "shift", "selective"] = (
        "none"  # views that an evaluation averages over
    )

    # the optimisation
    epochs: int = 10
    least_steps: int = 0  # fewer would be too few: few images are seen more often, by more epochs
    batch_size: int = 64
    least_batch: int = 0  # so far batches shrink, for least_steps, before epochs grow; 0 never
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    learning_rate: float = 1e-3  # the peak of the schedule
    momentum: float = 0.9  # sgd and muon, with Nesterov's look-ahead
    weight_decay: float = 0.0  # adamw and sgd: of kernels; muon: of all else, times batch_size
    bias_rate: float = 0.05  # muon: learning rate of vectors, times batch_size
    head_rate: float = 0.5  # muon: learning rate of the head, times batch_size
    schedule: Literal["constant", "exponential", "steps", "cosine", "triangle"] = "constant"
    warmup: float = 0.0  # fraction of the training over which the rate rises (cosine, triangle)
    final_rate: float = 0.01  # last learning rate as a fraction of the peak (all but constant)
    label_smoothing: float = 0.0  # one-hot only
    ema: float = 0.0  # average weights: those of this fraction of all steps ago count 1/e; 0 off
    plateau: Plateau | None = None
    early_stopping: EarlyStopping | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_options", types.MappingProxyType(dict(self.model_options)))
        check(self)

    def __hash__(self) -> int:
        return hash((self.name, self.model, self.epochs, self.learning_rate))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping can be neither copied nor sent to another process; a plain one can.
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return partial(Recipe, **{**fields, "model_options": dict(self.model_options)}), ()

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, complete: defaults are written out."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _to_json(value) for name, value in fields.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            UnknownNameError: a field that no recipe has.
            UsageError: a field of the wrong type, or one without which there is no recipe.
        """
        return _read(cls, value, "")


EPOCHS_DECIDE = ("least_steps", "hard", "sizes")  # what `with_epochs` changes beside them


def replace_fields(recipe: Recipe, settings: Mapping[str, str]) -> Recipe:
    """A recipe with fields replaced by values given as text, as ``--set KEY=VALUE`` gives them.

    Args:
        recipe: what to start from.
        settings: field name (dotted inside a group: ``augmentation.flip``) to text. ``none``
            switches a group off; ``model_options.NAME`` takes a JSON value. Lengths in pixels
            that are not set themselves keep their share of a new ``image_size``; ``epochs`` does
            what `with_epochs` says, and ``batch_size`` holds whatever ``least_batch`` was.

    Raises:
        UnknownNameError: no such field; names the nearest.
        UsageError: the text is not a value of the field's type, or the field changes without an
            effect in this recipe.

    Example:
        >>> base = Recipe(name="mine", summary="", model="tutorial_cnn")
        >>> replace_fields(base, {"epochs": "3", "augmentation.flip": "true"}).augmentation.flip
        True
    """
    # Text to values: a concern of its own.
    from cifarlab.recipes.parse import scale_lengths, set_path

    value = recipe.to_json()
    for key, text in settings.items():
        set_path(Recipe, value, key, text)
    if "batch_size" in settings and "least_batch" not in settings:
        value["least_batch"] = 0
    scale_lengths(value, recipe.image_size, set_already=settings)
    changed = Recipe.from_json(value)
    if "epochs" in settings:
        held = with_epochs(dataclasses.replace(changed, epochs=recipe.epochs), changed.epochs)
        set_here = {name: getattr(changed, name) for name in EPOCHS_DECIDE if name in settings}
        changed = dataclasses.replace(held, **set_here)
    for key in settings:
        if getattr(changed, key, None) != getattr(recipe, key, None):
            check_effect(changed, key)
    return changed


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """`recipe` with just so many epochs, whatever its ``least_steps``.

    More than its own visit all images: what is seen often is learned by heart, and visiting what is
    hard more often then costs accuracy (``records/quick``, "Few images"). Fewer than it has sizes
    leave out sizes, but never the last one, near which the finished network is used; fewer than it
    has shares leave out shares, but never the first one, when nothing is known to be hard.

    Example:
        >>> base = Recipe(name="mine", summary="", model="tutorial_cnn", epochs=4, hard=(1.0, 0.5))
        >>> [with_epochs(base, epochs).hard for epochs in (1, 2, 8)]
        [(1.0,), (1.0, 0.5), ()]
        >>> base = dataclasses.replace(base, sizes=(16, 20, 24, 32))
        >>> [with_epochs(base, epochs).sizes for epochs in (1, 2, 3)]
        [(32,), (20, 32), (20, 24, 32)]
    """
    hard = recipe.hard if epochs <= recipe.epochs else ()
    if epochs < len(hard):
        hard = tuple(hard[i * len(hard) // epochs] for i in range(epochs))
    every = len(recipe.sizes)
    lasts = (-(-i * every // epochs) - 1 for i in range(1, min(epochs, every) + 1))
    sizes = tuple(recipe.sizes[last] for last in lasts) if epochs < every else recipe.sizes
    return dataclasses.replace(recipe, epochs=epochs, least_steps=0, hard=hard, sizes=sizes)


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_to_json(item) for item in value]
    return value


def field_types(cls: type) -> dict[str, Any]:
    """Name to type of a recipe's (or a recipe group's) fields."""
    return typing.get_type_hints(cls)


def _read(cls: type, value: Any, prefix: str) -> Any:
    """Build the dataclass `cls` from JSON, naming the field that does not fit."""
    if not isinstance(value, Mapping):
        raise UsageError(f"recipe: {prefix.rstrip('.') or 'it'} must be an object, got {value!r}")
    hints = field_types(cls)
    for name in value:
        if name not in hints:
            raise UnknownNameError("recipe field", f"{prefix}{name}", [prefix + h for h in hints])
    for f in dataclasses.fields(cls):
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in value:
            raise UsageError(f"recipe: the field {prefix}{f.name} is missing")
    return cls(**{n: _convert(hints[n], item, prefix + n) for n, item in value.items()})


def _convert(hint: Any, value: Any, name: str) -> Any:
    """`value` as the type `hint`, or an error that names the field."""
    options = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        if value not in options:
            raise UnknownNameError(f"value of {name}", str(value), [str(o) for o in options])
        return value
    if isinstance(hint, types.UnionType):  # a group or None
        return None if value is None else _convert(options[0], value, name)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _read(hint, value, f"{name}.")
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise UsageError(f"recipe: {name} must be a list, got {value!r}")
        return tuple(_convert(options[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if typing.get_origin(hint) is not None:  # model_options: checked by the model that takes them
        if not isinstance(value, Mapping):
            raise UsageError(f"recipe: {name} must be an object, got {value!r}")
        return {key: _freeze(item, f"{name}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int and abs(value) < 2**53:  # exact as a float
        return float(value)
    if type(value) is not hint or not _is_finite(value):
        raise UsageError(f"recipe: {name} must be {_KINDS[hint]}, got {value!r:.80}")
    return value


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _freeze(value: Any, name: str) -> Any:
    """A model option with lists as tuples."""
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, name) for item in value)
    if not _is_finite(value):
        raise UsageError(f"recipe: {name} must be finite, got {value!r}")
    return value


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
