"""``KEY=VALUE`` settings: text to a recipe's JSON value, by the type of the field that it names."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Container, Mapping
from typing import Any

from cifarlab.errors import UnknownNameError, UsageError
from cifarlab.recipes.recipe import field_types

WORDS = {"none": None, "null": None, "true": True, "false": False}  # also as Python writes them


def set_path(cls: type, value: dict[str, Any], key: str, text: str, prefix: str = "") -> None:
    """Set the field `key` (dotted) of the JSON form `value` of the dataclass `cls` to `text`.

    Raises:
        UnknownNameError: there is no such field.
        UsageError: a group named without its field, or text that is no value.
    """
    head, _, rest = key.partition(".")
    hints = field_types(cls)
    if head not in hints:
        raise UnknownNameError("recipe field", prefix + head, [prefix + name for name in hints])
    hint, name = _group_or_type(hints[head]), prefix + head
    if rest and dataclasses.is_dataclass(hint):
        if value[head] is None:  # a group that was off is switched on by setting one of its fields
            value[head] = dataclasses.asdict(hint())  # type: ignore[operator]
        set_path(typing.cast(type, hint), value[head], rest, text, f"{name}.")
    elif rest and typing.get_origin(hint) is Mapping:
        value[head][rest] = _json_or_text(text)
    elif rest:
        raise UsageError(f"recipe: {name} has no parts, so {name}.{rest} cannot be set")
    else:
        value[head] = _parse(hint, text, name)


def scale_lengths(value: dict[str, Any], before: int, set_already: Container[str]) -> None:
    """Bring the lengths in pixels of a recipe's JSON form `value`, but those set already, from
    images of `before` pixels to its own.

    A recipe for images of 32 pixels that trains on crops of 28 would else train on a corner of
    larger ones, and be measured on them whole.
    """
    size = value["image_size"]
    fits = type(size) is int and 0 < size < 2**53 and isinstance(value["augmentation"], dict)
    if size == before or not fits:  # what does not fit is refused when the recipe is built
        return
    factor = size / before
    if "sizes" not in set_already:
        value["sizes"] = [max(1, round(factor * size)) for size in value["sizes"]]
    for name, of_type in (("crop", round), ("cutout", round), ("blur", float)):
        if f"augmentation.{name}" not in set_already:
            value["augmentation"][name] = of_type(factor * value["augmentation"][name])


def _group_or_type(hint: Any) -> Any:
    """The group type of ``Group | None``; any other type as it is."""
    return typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint


def _parse(hint: Any, text: str, name: str) -> Any:
    """`text` as a JSON value for a field of type `hint`, checked when the recipe is built."""
    if hint is str or typing.get_origin(hint) is typing.Literal:
        return text
    if dataclasses.is_dataclass(hint) and text.lower() not in WORDS:
        fields = ", ".join(f"{name}.{field.name}" for field in dataclasses.fields(hint))
        raise UsageError(f"recipe: {name} is a group: set one of {fields}, or {name}=none")
    return _json_or_text(text)


def _json_or_text(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)  # NaN and Infinity are not JSON, and no recipe is the better for them
