"""All that a training needs to go on, in one file that is replaced atomically.

The file is safetensors: arrays (weights, optimizer variables, what callbacks remember) and, as its
metadata, JSON for the rest (position, history, callbacks' plain values). Random state needs no
place in it, because order, augmentation and dropout are functions of (seed, epoch, step).
"""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cifarlab.engine.program import Program, Sums
from cifarlab.errors import RunError
from cifarlab.files import write_bytes

FORMAT = "1"
SCALARS = (bool, int, float, str, type(None))


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs completed.
        step: steps done of the epoch after those.
        sums: its sums so far.
        seconds: wall time of its steps so far.
        history: one row a completed epoch.
        finished: nothing is left to train.
    """

    epoch: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


def save_checkpoint(path: Path, program: Program, callbacks: list[Any], progress: Progress) -> None:
    """Replace `path` by the state of the model, its optimizer, `callbacks` and `progress`.

    Raises:
        CifarlabError: the disk is full; the old checkpoint stays.
    """
    arrays = {
        f"{kind}/{i}": keras.ops.convert_to_numpy(variable)
        for kind, variables in _state(program).items()
        for i, variable in enumerate(variables)
    }
    remembered = []
    for i, callback in enumerate(callbacks):
        scalars, tensors = _callback_state(callback)
        remembered.append(scalars)
        arrays |= {f"callback/{i}/{name}": value for name, value in tensors.items()}
    position = asdict(progress)
    position["sums"] = [float(progress.sums.loss), float(progress.sums.correct)]
    metadata = {
        "format": FORMAT,
        "progress": json.dumps(position),
        "callbacks": json.dumps(remembered),
    }
    contiguous = {name: np.array(value, order="C") for name, value in arrays.items()}
    write_bytes(path, save(contiguous, metadata))


def load_checkpoint(path: Path, program: Program, callbacks: list[Any]) -> Progress:
    """Put a checkpoint's state back into the model, its built optimizer and `callbacks`.

    Call it after the callbacks' ``on_train_begin``, which resets them.

    Raises:
        RunError: the file is damaged, or of another model or version.
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        raise RunError(f"the checkpoint {path} was written by another version of cifarlab")
    for kind, variables in _state(program).items():
        _assign(path, kind, variables, arrays)
    remembered = json.loads(metadata["callbacks"])
    if len(remembered) != len(callbacks):
        raise RunError(f"{path} was written with {len(remembered)} callbacks, not {len(callbacks)}")
    for i, (callback, scalars) in enumerate(zip(callbacks, remembered, strict=True)):
        _restore_callback(callback, scalars, arrays, f"callback/{i}/")
    position = json.loads(metadata["progress"])
    loss, correct = position.pop("sums")
    return Progress(**position, sums=Sums(np.float32(loss), np.float32(correct)))


def _state(program: Program) -> dict[str, list[Any]]:
    """Every variable that a training changes, by kind."""
    model = program.model
    return {
        "model": model.weights,
        "optimizer": model.optimizer.variables,
        "memory": program.remembered,
    }


def _assign(path: Path, kind: str, variables: list[Any], arrays: dict[str, np.ndarray]) -> None:
    stored = sum(name.startswith(f"{kind}/") for name in arrays)
    if stored != len(variables):
        raise RunError(f"the checkpoint {path} is of another {kind}: delete it to start over")
    for i, variable in enumerate(variables):
        value = arrays[f"{kind}/{i}"]
        if tuple(variable.shape) != value.shape:
            raise RunError(f"the checkpoint {path} is of another {kind}: delete it to start over")
        variable.assign(value)


def _callback_state(callback: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a callback remembers: plain values, and lists of arrays.

    Constructor arguments are configuration, not memory: the callback is constructed again.
    """
    configuration = set(inspect.signature(type(callback).__init__).parameters)
    scalars: dict[str, Any] = {}
    tensors: dict[str, np.ndarray] = {}
    for name, value in vars(callback).items():
        if name in configuration or name in ("_model", "params"):
            continue
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, SCALARS):
            scalars[name] = value
        elif isinstance(value, list) and value and all(isinstance(v, np.ndarray) for v in value):
            tensors |= {f"{name}/{i}": v for i, v in enumerate(value)}
    return scalars, tensors


def _restore_callback(
    callback: Any, scalars: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str
) -> None:
    for name, value in scalars.items():
        setattr(callback, name, value)
    lists: dict[str, dict[int, np.ndarray]] = {}
    for key, value in arrays.items():
        if key.startswith(prefix):
            name, _, index = key.removeprefix(prefix).rpartition("/")
            lists.setdefault(name, {})[int(index)] = value
    for name, items in lists.items():
        setattr(callback, name, [items[i] for i in range(len(items))])
