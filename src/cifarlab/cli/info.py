"""What there is to use: ``cifarlab recipes``, ``models`` and ``doctor``."""

from __future__ import annotations

import importlib.util
import json as json_text
import os
import platform
import shutil
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cifarlab import __version__
from cifarlab.cli.console import Json, emit, next_steps, say, table
from cifarlab.errors import CifarlabError

# of pyproject.toml -> the module that tells
_EXTRAS = {
    "export": "tf2onnx",
    "jax": "jax",
    "notebooks": "jupyterlab",
    "serve": "fastapi",
    "track": "tensorboard",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(recipes)
    app.command()(models)
    app.command()(doctor)


def recipes(
    name: Annotated[str | None, typer.Argument(help="One recipe, to show in full.")] = None,
    json: Json = False,
) -> None:
    """List the recipes, or show one in full."""
    from cifarlab.recipes import get_recipe, recipe_names

    found = {each: get_recipe(each) for each in ([name] if name else recipe_names())}
    if name:
        recipe = found[name].to_json()
        say(f"{recipe['name']}: {recipe['summary']}\n")
        table(["field", "value"], _flat(recipe))
        next_steps([["cifarlab", "train", "--recipe", name]])
    else:
        table(
            ["recipe", "model", "epochs", "summary"],
            [[each, recipe.model, recipe.epochs, recipe.summary] for each, recipe in found.items()],
        )
        next_steps(["cifarlab recipes NAME", "cifarlab train --recipe NAME"])
    if json:
        emit(found[name].to_json() if name else [recipe.to_json() for recipe in found.values()])


def models(
    name: Annotated[str | None, typer.Argument(help="One model, to show its options.")] = None,
    json: Json = False,
) -> None:
    """List the models, or show one: its options, or its card."""
    from cifarlab import backend, bundled

    if name in bundled.bundled_names():
        return _show_card(bundled.bundled_card(str(name)), json)

    backend.load()  # models are made of Keras
    from cifarlab.models import get_model, list_models, model_options

    found: list[dict[str, Any]] = [
        {
            "name": each,
            "summary": (get_model(each).__doc__ or "").partition("\n")[0],
            "options": model_options(each),
        }
        for each in ([name] if name else list_models())
    ]
    if name:
        say(f"{name}: {found[0]['summary']}\n")
        table(["option", "default"], _flat(found[0]["options"]))
        next_steps([["cifarlab", "train", "--set", f"model={name}"]])
    else:
        table(["model", "summary"], [[each["name"], each["summary"]] for each in found])
        cards = map(bundled.bundled_card, bundled.bundled_names())
        say("\nTrained, for predict, evaluate and serve:")
        table(["model", "summary"], [[card["name"], card["summary"]] for card in cards])
        next_steps(["cifarlab models NAME"])
    if json:
        emit(found[0] if name else found)
    return None


def _show_card(card: dict[str, Any], json: bool) -> None:
    """What a bundled model was trained on, how good it is, and where it fails."""
    say(f"{card['name']}: {card['summary']}\n")
    rows = [
        [
            figure["name"],
            f"{figure['value']:.4f}",
            "-" if figure["ci95"] is None else "{:.4f} to {:.4f}".format(*figure["ci95"]),
            None if figure["n"] is None else f"{figure['n']:,}",
        ]
        for figure in card["figures"]
    ]
    table(["figure", "value", "95 % interval", "images"], rows)
    say("\nLimits:", *(f"- {limit}" for limit in card["limits"]))
    say(f"\nLicence: {card['licence']}\nSHA-256: {card['sha256']}\n")
    table(["data", ""], _flat(card["data"]))
    table(["recipe", ""], _flat(card["recipe"]))
    next_steps([["cifarlab", "predict", "photo.jpg", "--model", card["name"]]])
    if json:
        emit(card)


def doctor(json: Json = False) -> None:
    """Show this machine: hardware, backends, datasets, space."""
    found = _examine()
    table(["", ""], [_finding(name, value) for name, value in found.items()])
    next_steps(["cifarlab train"])
    if json:
        emit(found)


def _examine() -> dict[str, Any]:
    """Every finding by name; what cannot be found is the reason. Loads no backend but JAX."""
    from cifarlab import backend
    from cifarlab.bundled import bundled_names, bundled_path
    from cifarlab.data import describe_sources

    versions = backend.versions()
    return {
        "cifarlab": versions.pop("cifarlab", __version__),
        "python": versions.pop("python"),
        "platform": platform.platform(),
        "cpu": backend.cpu_name(),
        "cores": os.cpu_count(),
        "threads": backend.threads(),
        "memory_bytes": backend.memory_bytes(),
        "bfloat16": sorted(backend.BFLOAT16_FLAGS & backend.cpu_flags()),
        "backends": [name for name, module in backend.BACKENDS.items() if _installed(module)],
        "backend": _or_reason(backend.configure),
        "precision": _or_reason(backend.resolve_precision),
        "versions": versions,
        "bundled_models": _or_reason(lambda: [bundled_path(n).stem for n in bundled_names()]),
        "datasets": _or_reason(lambda: {each.name: each.found for each in describe_sources()}),
        "extras": {name: _installed(module) for name, module in _EXTRAS.items()},
        "disk_free_bytes": shutil.disk_usage(".").free,
    }


def _or_reason(find: Callable[[], Any]) -> Any:
    """What ``find`` finds, or why it cannot."""
    try:
        return find()
    except CifarlabError as error:
        return str(error)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _finding(name: str, value: Any) -> tuple[str, str]:
    """A row of the doctor's table; bytes are told in GiB."""
    if name.endswith("_bytes") and value is not None:
        return name.removesuffix("_bytes").replace("_", " "), f"{value / 2**30:.1f} GiB"
    return name.replace("_", " "), _in_words(value)


def _in_words(value: Any) -> str:
    """One finding as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """``(name, value)`` rows as ``--set`` takes them: a group's fields are dotted."""
    rows: list[tuple[str, str]] = []
    for name, part in value.items():
        if isinstance(part, dict) and part:
            rows += _flat(part, f"{prefix}{name}.")
        else:
            text = part if isinstance(part, str) else json_text.dumps(part)
            rows.append((prefix + name, "none" if part is None else text))
    return rows
