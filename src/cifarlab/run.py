"""The run: the folder that a training leaves, from which every later command works.

recipe.json environment.json data.json      what was trained, where, on what
checkpoint.safetensors history.csv          how far it is
model.json model.safetensors                the classifier
predictions-<split>.npz result.json         how good it is
plots/*.png report.html                     the same for people
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from cifarlab.errors import CifarlabError, RunError
from cifarlab.files import cannot_write, locked, replacing, write_bytes, write_json, write_text

if TYPE_CHECKING:
    import keras

HISTORY = ("epoch", "seconds", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")
MODEL_FORMAT = 1
SPLITS = ("test", "val", "train")
Change = Callable[[dict[str, Any]], Mapping[str, Any]]


class Run:
    """A run folder, read anew at each access.

    Args:
        path: the folder; ``.`` stands for its whole path, which has a name to put others beside.

    Raises:
        RunError: it is not there, or is not a run; any access raises it for a damaged file.

    Example:
        >>> parts = {"recipe": {"name": "mine"}, "data": {}, "environment": {}}
        >>> run = Run.create(tmp_path / "first", **parts, seed=0)
        >>> run.name, run.result["completed"], run.history
        ('first', False, [])
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path) if Path(path).name not in ("", "..") else Path(path).resolve()
        if not self.path.is_dir():
            raise RunError(f"there is no run folder {self.path}; train one with: cifarlab train")
        for name in ("recipe.json", "data.json", "environment.json", "result.json"):
            if not (self.path / name).is_file():
                raise RunError(f"{self.path} is not a run folder, or is damaged: it has no {name}")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def create(
        cls,
        out: str | os.PathLike[str] | None,
        *,
        recipe: Mapping[str, Any],
        data: Mapping[str, Any],
        environment: Mapping[str, Any],
        seed: int,
        tensorboard: bool = False,
    ) -> Run:
        """Make a new run folder, whole or not at all: `out`, or ``runs/<recipe>-<number>`` for
        None.

        Raises:
            RunError: `out` is there already.
            CifarlabError: the folder cannot be written.
        """
        parent = Path("runs") if out is None else Path(out).parent
        result = {"recipe": recipe["name"], "dataset": data.get("name"), "seed": seed}
        result |= {"completed": False, "test_looks": 0, "tensorboard": tensorboard}
        contents = {"recipe": recipe, "data": data, "environment": environment, "result": result}
        temporary = None
        try:
            parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".new-run-"))
            temporary.chmod(0o755)
            for name, value in contents.items():
                write_json(temporary / f"{name}.json", value)
            return cls(_claim(temporary, parent, recipe["name"], out))
        except OSError as error:
            raise cannot_write(parent, error) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe in its JSON form."""
        return self._read_json("recipe.json")

    @property
    def data(self) -> dict[str, Any]:
        """What was trained on: name, source, fingerprint, class names, split."""
        return self._read_json("data.json")

    @property
    def environment(self) -> dict[str, Any]:
        """Hardware and software that trained it."""
        return self._read_json("environment.json")

    @property
    def result(self) -> dict[str, Any]:
        """What came of it; holds test figures once ``evaluate`` has run."""
        return self._read_json("result.json")

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row an epoch, numbers parsed, a missing figure None. Empty before the first epoch."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        try:
            reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
            if tuple(reader.fieldnames or ()) != HISTORY:
                raise RunError(f"{path} is damaged: its first line is not {','.join(HISTORY)}")
            return [{k: _number(k, row[k]) for k in HISTORY} for row in reader]
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Replace history.csv; a figure that a row lacks stays empty."""
        text = io.StringIO()
        writer = csv.DictWriter(text, HISTORY, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: v for k, v in row.items() if v is not None} for row in history)
        write_text(self.path / "history.csv", text.getvalue())

    def update_result(self, change: Change | None = None, /, **figures: Any) -> dict[str, Any]:
        """Add `figures`, and what `change` makes of what is there, to result.json; return it."""
        with locked(self.path / "recipe.json"):  # which is never replaced, as result.json is
            result = self.result
            result |= {**figures, **(change(result) if change else {})}
            write_json(self.path / "result.json", result)
        return result

    def calibration(self, tta: str) -> dict[str, Any]:
        """What validation says of logits averaged over the views of `tta`.

        Returns:
            ``temperature``, by which to divide them, and ``thresholds`` (`metrics.calibrate`):
            those of the recipe's own views where `tta` was not fitted; 1.0 and none where the
            training held no images out, is not finished, or is older than calibration.
        """
        kept = self.result.get("calibration")
        if kept is None:
            return {"temperature": 1.0, "thresholds": {}}
        try:
            fitted = kept["by_tta"].get(tta) or kept["by_tta"][kept["tta"]]
            temperature, thresholds = float(fitted["temperature"]), dict(fitted["thresholds"])
            if not 0 < temperature < float("inf"):
                raise ValueError(f"temperature {temperature}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            path = self.path / "result.json"
            raise RunError(f"{path} is damaged: its calibration: {error!r}") from error
        return {"temperature": temperature, "thresholds": thresholds}

    def predictions(self, split: str) -> dict[str, np.ndarray]:
        """The arrays of predictions-<split>.npz: raw ``logits`` (N, C), ``labels`` (N,), the
        ``temperature`` () to divide the logits by (older files lack it), and what is shown.

        Raises:
            RunError: the split has not been evaluated, or the file is damaged.
        """
        path = self.path / f"predictions-{split}.npz"
        if not path.exists():
            raise RunError(
                f"{self.path} has no predictions of the {split} split; "
                f"make them with: cifarlab evaluate {self.path} --split {split}"
            )
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (
            *(OSError, ValueError, TypeError, KeyError, EOFError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def write_predictions(self, split: str, **arrays: np.ndarray) -> None:
        """Replace predictions-<split>.npz."""
        with replacing(self.path / f"predictions-{split}.npz") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def save_model(self, model: keras.Model, description: Mapping[str, Any]) -> None:
        """Write model.safetensors, then model.json, which says how to build the model again."""
        weights = {v.path: np.array(v.numpy(), order="C") for v in model.weights}
        if len(weights) != len(model.weights):
            raise ValueError(f"two weights of {model.name} have the same path")
        write_bytes(self.path / "model.safetensors", save(weights))
        write_json(self.path / "model.json", {"format": MODEL_FORMAT, **description})

    def load_model(self) -> keras.Model:
        """The trained model: float pixels in [0, 255] of shape (N, S, S, 3) in, logits (N, C) out.

        Raises:
            RunError: the training is not finished, or a file is damaged.
        """
        # Loads Keras, which reading a run otherwise does not.
        from cifarlab.models import create_model

        if not (self.path / "model.json").exists():
            raise RunError(
                f"{self.path} holds no finished model; "
                f"go on with: cifarlab train --resume {self.path}"
            )
        description = self._read_json("model.json")
        if description.pop("format", None) != MODEL_FORMAT:
            raise RunError(f"{self.path / 'model.json'} is damaged or of another version")
        path = self.path / "model.safetensors"
        try:
            model = create_model(description.pop("name"), **description)
            weights = load_file(path)
            for variable in model.weights:
                variable.assign(weights.pop(variable.path))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, CifarlabError) as error:
            raise RunError(f"{path} is damaged or does not fit model.json: {error}") from error
        if weights:
            raise RunError(f"{path} does not fit model.json: no place for {sorted(weights)[0]}")
        return model

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / name} is damaged: {error}") from error
        if not isinstance(value, dict):
            raise RunError(f"{self.path / name} is damaged: not a JSON object")
        return _Document(value, self.path / name)


class _Document(dict[str, Any]):
    """A run's JSON file; a key that it should have and has not is the file's damage."""

    def __init__(self, value: dict[str, Any], path: Path):
        super().__init__(value)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise RunError(f"{self.path} is damaged: it has no {key}")


def _claim(temporary: Path, parent: Path, recipe: str, out: str | os.PathLike[str] | None) -> Path:
    """Rename `temporary` to its place: one atomic step, which fails where another run is."""
    if out is not None:
        try:
            os.rename(temporary, out)  # replaces nothing but an empty folder
        except OSError as error:
            if not Path(out).exists():
                raise
            raise RunError(
                f"{out} exists and is not overwritten; name another --out, "
                f"or go on with it: cifarlab train --resume {out}"
            ) from error
        return Path(out)
    pattern = re.compile(re.escape(recipe) + r"-(\d+)")
    taken = [int(m[1]) for p in parent.iterdir() if (m := pattern.fullmatch(p.name))]
    number = max(taken, default=0) + 1
    while True:  # another process may take the number between the look and the rename
        target = parent / f"{recipe}-{number}"
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.exists():
                raise
            number += 1
        else:
            return target


def _number(column: str, text: str) -> float | int | None:
    if text == "":
        return None
    return int(text) if column == "epoch" else float(text)
