"""Recipes by name; a recipe's name is the name of its value in one of this package's modules."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from cifarlab.errors import UnknownNameError, UsageError
from cifarlab.recipes import architectures, classic, debug, fast
from cifarlab.recipes.recipe import (
    Augmentation,
    EarlyStopping,
    Plateau,
    Recipe,
    replace_fields,
    with_epochs,
)

__all__ = [
    "Augmentation",
    "EarlyStopping",
    "Plateau",
    "Recipe",
    "get_recipe",
    "recipe_names",
    "replace_fields",
    "with_epochs",
]


DEFAULT = "quick"


def _collect(*families: object) -> Mapping[str, Recipe]:
    """Every recipe of the given modules by name, the default first."""
    recipes: dict[str, Recipe] = {}
    for family in families:
        for key, value in vars(family).items():
            if isinstance(value, Recipe):
                if key != value.name or key in recipes:
                    raise ValueError(f"the recipe {key!r} is misnamed or defined twice")
                recipes[key] = value
    return {DEFAULT: recipes[DEFAULT], **recipes}


_RECIPES = _collect(fast, classic, architectures, debug)


def recipe_names() -> list[str]:
    """Names of the recipes, the default first.

    Example:
        >>> recipe_names()[0]
        'quick'
    """
    return list(_RECIPES)


def get_recipe(recipe: str | os.PathLike[str] | Recipe) -> Recipe:
    """A recipe by its name, else from a ``recipe.json`` file or the run folder that holds one.

    Raises:
        UnknownNameError: there is no such recipe; names the nearest.
        UsageError: a file that is not a recipe.

    Example:
        >>> get_recipe("tutorial_cnn").epochs
        10
    """
    if isinstance(recipe, Recipe):
        return recipe
    if str(recipe) in _RECIPES:
        return _RECIPES[str(recipe)]
    path = Path(recipe)
    if path.is_dir():
        path = path / "recipe.json"
    if path.suffix == ".json":
        return _read_recipe(path)
    raise UnknownNameError("recipe", str(recipe), _RECIPES)


def _read_recipe(path: Path) -> Recipe:
    try:
        return Recipe.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a recipe: it is not text") from error
    except json.JSONDecodeError as error:
        raise UsageError(f"{path} is not a recipe: line {error.lineno} is not JSON") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
