"""Where ``cifarlab predict`` puts what it found: a table of all, a folder a class."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from filecmp import cmp
from itertools import chain, count, takewhile
from pathlib import Path
from typing import BinaryIO

from cifarlab import files
from cifarlab.files import cannot_write, replacing
from cifarlab.predict import Prediction

UNKNOWN = "unknown"  # the folder of what is none of the classes


def write_csv(path: Path, predictions: Sequence[Prediction]) -> None:
    """Write file, label, probability, known, error and a column a class, whole or not at all."""
    names = next((list(p.probabilities) for p in predictions if p.probabilities), [])
    columns = ["file", "label", "probability", "known", "error", *names]
    rows = []
    for p in predictions:
        values = [(p.probabilities or {}).get(name) for name in names]
        rows.append([p.file, p.label, p.probability, p.known, p.error, *values])
    files.write_csv(path, columns, rows, files=["file"])


def sort_into(
    folder: Path, source: Path | bytes, prediction: Prediction, *, link: bool = False
) -> Path:
    """Put a picture into ``folder``/<label>/, or ``folder``/unknown/ when it is not known.

    Nothing is moved or overwritten: where another picture has the name, the new one gets a number;
    where the same picture is already, nothing is done.

    Args:
        source: its file, or what came on standard input.
        link: a symbolic link to the file rather than a copy; standard input is copied all the same.

    Returns:
        The path of the copy or link.

    Raises:
        CifarlabError: it cannot be written.
    """
    label = prediction.label if prediction.known else None
    name = _folder_name(label, prediction.probabilities or [label]) if label else UNKNOWN
    if not isinstance(source, Path):
        return _copied(io.BytesIO(source), free_path(folder / name, file_name(source)))
    path = free_path(folder / name, source.name, same_as=source)
    if path.exists():
        return path
    if link:
        return _linked(source, path)
    with open(source, "rb") as original:
        return _copied(original, path)


def _folder_name(label: str, labels: Iterable[str]) -> str:
    """Of one of the classes `labels`; those that would have the same folder are numbered."""
    before = takewhile(lambda each: each != label, labels)
    number = 1 + sum(_safe(each) == _safe(label) for each in before)
    return _safe(label) + (f"-{number}" if number > 1 else "")


def _safe(label: str) -> str:
    """A class may have any name: in that of a folder it must not lead elsewhere, nor to what is no
    class."""
    name = re.sub(r"[^\w .+-]", "_", label).strip(" .") or "_"
    return name + "_" if name.casefold() == UNKNOWN else name


def file_name(source: Path | bytes) -> str:
    """A picture's name without its folder; that on standard input has none of its own."""
    return source.name if isinstance(source, Path) else "stdin"


def free_path(folder: Path, name: str, same_as: Path | None = None) -> Path:
    """``folder/name``, numbered until no file has it, or the file there equals ``same_as``."""
    stem, suffix = Path(name).stem, Path(name).suffix
    candidates = chain([name], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(
        path
        for path in (folder / candidate for candidate in candidates)
        if not os.path.lexists(path)  # a link whose picture is gone is somebody's as well
        or (same_as and path.is_file() and cmp(same_as, path, shallow=False))
    )


def _copied(original: BinaryIO, path: Path) -> Path:
    with replacing(path) as copy:
        shutil.copyfileobj(original, copy)
    return path


def _linked(source: Path, path: Path) -> Path:
    """A symbolic link, which leads to the picture from wherever it is read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source.resolve())
    except OSError as error:
        raise cannot_write(path, error) from error
    return path
