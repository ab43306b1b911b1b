"""What the fields of a recipe may be, checked when it is made rather than when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cifarlab.errors import RecipeError

if TYPE_CHECKING:
    from cifarlab.recipes.recipe import Recipe

Limit = tuple[Callable[[float], bool], str]

ABOVE_0: Limit = (lambda value: value > 0, "above 0")
FROM_0: Limit = (lambda value: value >= 0, "0 or more")
FRACTION: Limit = (lambda value: 0 <= value < 1, "in [0, 1)")
SHARE: Limit = (lambda value: 0 < value < 1, "in (0, 1)")

LIMITS: dict[str, Limit] = {
    "image_size": ABOVE_0,
    "epochs": ABOVE_0,
    "least_steps": FROM_0,
    "batch_size": ABOVE_0,
    "least_batch": FROM_0,
    "learning_rate": ABOVE_0,
    "validation": FRACTION,
    "label_smoothing": FRACTION,
    "ema": FRACTION,
    "warmup": FRACTION,
    "momentum": FRACTION,
    "weight_decay": FROM_0,
    "bias_rate": ABOVE_0,
    "head_rate": ABOVE_0,
    "final_rate": FROM_0,
    "augmentation.shift": FRACTION,
    "augmentation.crop": FROM_0,
    "augmentation.rotation": FROM_0,
    "augmentation.zoom": FRACTION,
    "augmentation.cutout": FROM_0,
    "augmentation.brightness": FRACTION,
    "augmentation.contrast": FRACTION,
    "augmentation.blur": FROM_0,
    "augmentation.noise": FRACTION,
    "plateau.factor": SHARE,
    "plateau.patience": FROM_0,
    "plateau.minimum": FROM_0,
    "early_stopping.patience": FROM_0,
}


def check(recipe: Recipe) -> None:
    """Raise `RecipeError` for a field out of its range, or for fields in contradiction."""
    for name, (holds, words) in LIMITS.items():
        head, _, rest = name.partition(".")
        value = getattr(recipe, head)
        if rest and value is not None:
            value = getattr(value, rest)
        if value is not None and not holds(value):
            raise RecipeError(f"recipe: {name} must be {words}. Received: {value!r}")
    contradictions = _contradictions(recipe) + _contradictions_of_images(recipe)
    for contradicts, rule, received in contradictions:
        if contradicts:
            raise RecipeError(f"recipe: {rule}. Received: {received!r}")


# Field -> the field and its values without which it has no effect.
NEEDS = {
    "momentum": ("optimizer", ("sgd", "muon")),
    "bias_rate": ("optimizer", ("muon",)),
    "head_rate": ("optimizer", ("muon",)),
    "final_rate": ("schedule", ("exponential", "steps", "cosine", "triangle")),
}


def check_effect(recipe: Recipe, name: str) -> None:
    """Raise `RecipeError` where the field `name`, which somebody has set, has no effect."""
    if name == "least_batch" and recipe.least_batch and not recipe.least_steps:
        raise RecipeError("recipe: least_batch needs least_steps above 0. Received: 0")
    if name not in NEEDS:
        return
    other, values = NEEDS[name]
    value = getattr(recipe, other)
    if value not in values:
        needed = " or ".join(f'"{v}"' for v in values)
        raise RecipeError(f"recipe: {name} needs {other}={needed}. Received: {value!r}")


def _contradictions(recipe: Recipe) -> list[tuple[bool, str, object]]:
    """(whether it is so, what would be right, what was given)."""
    watches = recipe.plateau is not None or recipe.early_stopping is not None
    return [
        (
            not recipe.name or bool({*recipe.name} & {*"/\\\0"}),
            "name begins the run folder's name: it must not be empty nor hold / or \\",
            recipe.name,
        ),
        (
            recipe.label_smoothing > 0 and recipe.labels == "integer",
            'label_smoothing needs labels="one-hot"',
            recipe.labels,
        ),
        (
            recipe.weight_decay > 0 and recipe.optimizer == "adam",
            'weight_decay needs optimizer="adamw", "sgd" or "muon"',
            recipe.optimizer,
        ),
        (
            recipe.warmup > 0 and recipe.schedule not in ("cosine", "triangle"),
            'warmup needs schedule="cosine" or "triangle"',
            recipe.schedule,
        ),
        (
            recipe.final_rate == 0 and recipe.schedule in ("exponential", "steps"),
            'final_rate must be above 0 with schedule="exponential" or "steps", its factors',
            recipe.final_rate,
        ),
        (
            recipe.plateau is not None and recipe.schedule != "constant",
            'plateau needs schedule="constant": two schedules cannot both set the learning rate',
            recipe.schedule,
        ),
        (
            recipe.ema > 0 and recipe.early_stopping is not None,
            "ema and early_stopping exclude each other: both say which weights are kept",
            recipe.ema,
        ),
        (
            watches and recipe.validation == 0,
            "plateau and early_stopping watch validation: validation must be above 0",
            recipe.validation,
        ),
    ]


def _contradictions_of_images(recipe: Recipe) -> list[tuple[bool, str, object]]:
    """The same, of the images that are trained on."""
    return [
        (
            recipe.augmentation.crop > recipe.image_size,
            "augmentation.crop must not be more than image_size",
            recipe.augmentation.crop,
        ),
        (
            recipe.augmentation.crop > 0
            and (recipe.augmentation.rotation > 0 or recipe.augmentation.zoom > 0),
            "augmentation.crop and rotation or zoom exclude each other: zoom in instead",
            recipe.augmentation.crop,
        ),
        (
            recipe.augmentation.crop > 0 and not recipe.sizes,
            "augmentation.crop needs sizes, with those of the crops as they are trained on",
            recipe.augmentation.crop,
        ),
        (
            any(size < 1 for size in recipe.sizes),
            "sizes must be 1 or more",
            recipe.sizes,
        ),
        (
            any(not 0 < share <= 1 for share in recipe.hard) or recipe.hard[:1] not in ((), (1.0,)),
            "hard must be in (0, 1], and 1 at first, when no image's loss is known",
            recipe.hard,
        ),
    ]
