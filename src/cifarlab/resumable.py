"""A training that is asked for by its folder: made, gone on with, or found finished."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file

from cifarlab.data import Dataset
from cifarlab.engine import Display
from cifarlab.errors import Interrupted, RunError
from cifarlab.recipes import Recipe
from cifarlab.run import Run
from cifarlab.train import own_recipe, resume, train


def train_to_end(
    data: Dataset, recipe: Recipe, seed: int, out: Path, *, display: Display | None = None
) -> Run:
    """The finished run in the folder `out`, whatever is there of it already.

    Called again after a kill at any moment it goes on to the bits of a training that was not
    killed; called again after the end it does nothing.

    Raises:
        RunError: what is there is of another recipe, seed or dataset; names the difference.
        Interrupted: by SIGINT or SIGTERM.

    Example:
        >>> from cifarlab.data import load_dataset
        >>> from cifarlab.recipes import get_recipe, replace_fields
        >>> recipe = replace_fields(get_recipe("debug"), {"epochs": "1"})
        >>> data = load_dataset("digits", image_size=16)
        >>> runs = [train_to_end(data, recipe, 0, tmp_path / "run") for _ in range(2)]
        >>> [run.result["completed"] for run in runs]
        [True, True]
    """
    try:
        if not out.exists():
            return train(data, recipe, seed=seed, out=out, display=display)
        run = Run(out)
        _require_same(run, data, recipe, seed)
        return run if run.result["completed"] else resume(run, data=data, display=display)
    except Interrupted as error:
        how = f"interrupted in {out}; the same command goes on from there"
        raise Interrupted(how, error.signum) from None


def _require_same(run: Run, data: Dataset, recipe: Recipe, seed: int) -> None:
    then = {**own_recipe(run).to_json(), "seed": run.result["seed"]}
    then["data"] = run.data["fingerprint"]
    for name, value in {**recipe.to_json(), "seed": seed, "data": data.fingerprint}.items():
        if value != then[name] and name != "summary":  # words decide nothing
            raise RunError(
                f"{run.path} was trained with {name} {then[name]}, not {value}; "
                "remove it to train anew, or name another --out"
            )


def weights_digest(run: Run) -> str:
    """SHA-256 of a finished run's weights, hexadecimal: of their names, shapes, types and bits.

    Raises:
        RunError: the file is not there or damaged.
    """
    path = run.path / "model.safetensors"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} is damaged, or the run is not finished: {error}") from error
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].shape} {weights[name].dtype}\n".encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()
