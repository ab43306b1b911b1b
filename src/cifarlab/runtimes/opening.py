"""The door to every kind of model file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.bundled import bundled_names, bundled_path
from cifarlab.errors import CifarlabError, ModelFileError
from cifarlab.runtimes.exported import Call, Exported, foreign
from cifarlab.runtimes.info import INPUT, LOGITS, PROBABILITIES, ModelInfo
from cifarlab.runtimes.keras import open_keras
from cifarlab.runtimes.litert import open_litert
from cifarlab.runtimes.onnx import open_onnx
from cifarlab.runtimes.saved_model import MARK, open_saved_model

SUFFIXES = (".onnx", ".tflite", ".keras")
# Formats that run code when they are loaded.
REFUSED = (".h5", ".hdf5", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".npy")


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file, or a SavedModel folder; a run's folder is neither."""
    return Path(path).is_file() or (Path(path) / MARK).is_file()


def exported_file(model: str | os.PathLike[str]) -> Path | None:
    """The file that MODEL on the command line means; None for a run's folder and for nothing.

    What is at a path goes before a bundled model of that name.

    Raises:
        ModelFileError: the bundled model is damaged.
    """
    path = Path(model)
    if not path.exists() and str(model) in bundled_names():
        return bundled_path(str(model))
    return path if is_exported(path) else None


def open_model(path: str | os.PathLike[str], *, threads: int | None = None) -> Exported:
    """Open an exported model in its own runtime.

    Args:
        path: ``.onnx``, ``.tflite``, ``.keras`` or a SavedModel folder.
        threads: over which one operation of ONNX Runtime or LiteRT is spread; by default the cores
            that this process may use.

    Returns:
        The model, after it has answered one image: its names and shapes are as they should be.

    Raises:
        ModelFileError: there is no such file, it is of another format, damaged, not exported by
            cifarlab, or does not take and give what its metadata say.

    Example:
        >>> open_model("weights.h5")
        Traceback (most recent call last):
            ...
        cifarlab.errors.ModelFileError: weights.h5: a .h5 file can run code when it is loaded, ...
    """
    path = Path(path)
    opener = _opener(path, threads)
    try:
        text, call = opener()
        if text is None:
            raise foreign(path)
        info = ModelInfo.from_json(text, file=str(path))
        _check_answer(path, info, call)
    except CifarlabError:
        raise
    # What a runtime raises on a damaged file is no closed list, and much of it bare exceptions.
    except Exception as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ModelFileError(
            f"{path} is damaged, or not a model of its format ({reason}); export it again"
        ) from error
    return Exported(path, info, call)


def _opener(path: Path, threads: int | None) -> Any:
    """What opens the file, by its name; the file is not touched."""
    suffix = path.suffix.lower()
    if suffix in REFUSED:
        raise ModelFileError(
            f"{path}: a {suffix} file can run code when it is loaded, so it is refused; "
            f"give {', '.join(SUFFIXES)}, a SavedModel folder or a run's folder"
        )
    if not path.exists():
        raise ModelFileError(f"there is no model file {path}; check the path")
    if suffix == ".onnx":
        return lambda: open_onnx(path, threads)
    if suffix == ".tflite":
        return lambda: open_litert(path, threads)
    if suffix == ".keras":
        return lambda: open_keras(path)
    if (path / MARK).is_file():
        return lambda: open_saved_model(path)
    raise ModelFileError(
        f"{path} is no model file by its name; give {', '.join(SUFFIXES)}, "
        "a SavedModel folder or a run's folder"
    )


def _check_answer(path: Path, info: ModelInfo, call: Call) -> None:
    """Two black images in, two rows of numbers out, or a `ModelFileError` that says what is not."""
    shape = (2, info.image_size, info.image_size, 3)
    expected = (2, len(info.class_names))
    wanted = f"{INPUT} uint8 (N, {shape[1]}, {shape[1]}, 3)"
    try:
        outputs = call(np.zeros(shape, np.uint8))
    except Exception as error:
        reason = " ".join(str(error).split())[:150]
        raise ModelFileError(f"{path} does not take {wanted}: {reason}; export it again") from error
    for name in (LOGITS, PROBABILITIES):
        found = outputs.get(name)
        if found is None or found.shape != expected or not np.isfinite(found).all():
            got = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise ModelFileError(
                f"{path}: {name} of two images should be numbers {expected}, not {got}; "
                "export it again"
            )
