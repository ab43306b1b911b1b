"""Files of predictions that somebody published: docs/compare.md says which are read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.errors import DataError

SUFFIXES = (".npz", ".npy", ".csv", ".txt")
KNOWN = ("logits", "predictions", "labels", "class_names", "temperature", "tta")


def read_published(path: Path, class_names: Sequence[str] | None) -> dict[str, Any]:
    """What a file of predictions holds.

    Args:
        path: ``.npz``, ``.npy``, ``.csv`` or ``.txt``.
        class_names: of the images, where they are known; names in the file are looked up in them.

    Returns:
        ``predictions`` int64 (N,); ``logits`` float64 (N, C), ``labels`` int64 (N,),
        ``class_names``, ``temperature`` and ``tta``, each of them None where the file lacks it.

    Raises:
        DataError: the file cannot be read, or is not of that form; names the first bad line.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path} is no file of predictions; there are: {', '.join(SUFFIXES)}")
    arrays = _read_text(path) if suffix in (".csv", ".txt") else _read_arrays(path)
    names = [str(name) for name in np.ravel(arrays.get("class_names", []))] or class_names
    logits = _logits(path, arrays.get("logits"))
    if logits is not None:
        predictions = logits.argmax(axis=1)
    elif "predictions" in arrays:
        predictions = _classes(path, "predictions", arrays["predictions"], names)
    else:
        raise DataError(f"{path} holds neither logits nor predictions, but: {_keys(arrays)}")
    labels = arrays.get("labels")
    labels = None if labels is None else _classes(path, "labels", labels, names)
    if labels is not None and len(labels) != len(predictions):
        raise DataError(f"{path} has {len(predictions):,} answers but {len(labels):,} labels")
    if logits is not None and names is not None and logits.shape[1] != len(names):
        raise DataError(f"{path}: logits of {logits.shape[1]} classes, but there are {len(names)}")
    return {
        "predictions": predictions,
        "logits": logits,
        "labels": labels,
        "class_names": None if names is None else tuple(names),
        "temperature": _temperature(path, arrays.get("temperature")),
        "tta": str(arrays["tta"]) if "tta" in arrays else None,
    }


def _read_text(path: Path) -> dict[str, NDArray]:
    """One class a line; empty lines at the end do not count."""
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    classes = [line.strip().strip('"') for line in lines]
    if "" in classes or not classes:
        raise DataError(f"{path}, line {classes.index('') + 1 if classes else 1}: it is empty")
    return {"predictions": np.array(classes)}


def _read_arrays(path: Path) -> dict[str, NDArray]:
    try:
        # Without pickles: a file of numbers or names needs none, and loading one would run code.
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            whole = loaded.ndim == 1
            return {"predictions" if whole else "logits": _text(loaded)}
        with loaded:
            return {name: _text(loaded[name]) for name in loaded.files if name in KNOWN}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as NumPy wrote it: {reason}") from error


def _text(array: NDArray) -> NDArray:
    """Names that were stored as bytes as the text that they are; other arrays as they are."""
    return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array


def _logits(path: Path, values: NDArray | None) -> NDArray[np.float64] | None:
    if values is None:
        return None
    if values.ndim != 2 or 0 in values.shape or not np.issubdtype(values.dtype, np.number):
        raise DataError(f"{path}: logits are numbers (N, C), not {values.dtype} {values.shape}")
    logits = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise DataError(f"{path}: row {bad[0]} of the logits is not finite")
    if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise DataError(
            f"{path}: these are probabilities, not logits; store their logarithms, or classes"
        )
    return logits


def _classes(
    path: Path, what: str, values: NDArray, names: Sequence[str] | None
) -> NDArray[np.int64]:
    """Classes as int64 (N,), of names or indices."""
    if values.ndim != 1 or not len(values):
        raise DataError(f"{path}: {what} are one class an image, (N,), not {values.shape}")
    if values.dtype.kind == "U":
        return _looked_up(path, values, names)
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(f"{path}: {what} are class names or whole numbers, not {values.dtype}")
    wrong = (values < 0) | (values >= (np.inf if names is None else len(names)))
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{path}: row {row} of the {what} says class {values[row]}{_range(names)}")
    return values.astype(np.int64)


def _looked_up(
    path: Path, words: NDArray[np.str_], names: Sequence[str] | None
) -> NDArray[np.int64]:
    """Names where every line is one; else indices."""
    index: Mapping[str, int] = {name: i for i, name in enumerate(names or [])}
    unknown = [row for row, word in enumerate(words) if word not in index]
    if not unknown:
        return np.array([index[word] for word in words], np.int64)
    numbers = np.char.isdecimal(words) & (np.char.str_len(words) < 10)
    if numbers.all():
        return _classes(path, "predictions", words.astype(np.int64), names)
    # Whichever kind most lines are of, the first line that is not is the one to mend.
    row = int((~numbers).argmax()) if 2 * numbers.sum() > len(words) else unknown[0]
    raise DataError(
        f"{path}, line {row + 1}: {str(words[row])!r} is neither the name of a class nor its index"
        + _range(names)
    )


def _range(names: Sequence[str] | None) -> str:
    return f"; the classes are 0 to {len(names) - 1}: {', '.join(names)}" if names else ""


def _temperature(path: Path, value: NDArray | None) -> float | None:
    if value is None:
        return None
    if value.shape != () or value.dtype.kind not in "fiu" or not 0 < float(value) < np.inf:
        raise DataError(f"{path}: temperature is one number above 0, not {value}")
    return float(value)


def _keys(arrays: Mapping[str, NDArray]) -> str:
    return ", ".join(arrays) or "nothing that is known"
