"""A CSV file of images: a header with ``path`` and ``label``, and ``split`` if there are splits.

    path,label,split
    pictures/1.jpg,cat,train
    pictures/2.jpg,dog,test

Paths are relative to the CSV file. A split is train, val (valid, validation) or test; an empty one
is train.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from cifarlab.data.assemble import SPLIT_NAMES, ImageFile, assemble
from cifarlab.data.dataset import Dataset
from cifarlab.errors import DataError


def load_table(path: Path, *, image_size: int, fit: str) -> Dataset:
    """Load the images that a CSV file lists.

    Args:
        path: an existing CSV file in UTF-8.
        image_size: side of the square that images are fitted to, in pixels.
        fit: as in `fit_image`.

    Raises:
        DataError: the header, a row or an image is not as it should be; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            files = _read_rows(path, csv.DictReader(file, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV file in UTF-8 ({error}); save it as one") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return assemble(files, source=path, image_size=image_size, fit=fit)


def _read_rows(path: Path, rows: csv.DictReader) -> list[ImageFile]:
    header = [name.strip().lower() for name in rows.fieldnames or []]
    for column in ("path", "label"):
        if column not in header:
            raise DataError(
                f"{path} has no column {column!r} in its first line; it must be path,label or "
                "path,label,split"
            )
    rows.fieldnames = header
    seen: dict[str, int] = {}
    files = []
    for row in rows:
        file = _image_file(path, rows.line_num, row)
        if file.name in seen:
            raise DataError(
                f"{path}, line {rows.line_num}: {file.name} was on line {seen[file.name]} already; "
                "list every image once"
            )
        seen[file.name] = rows.line_num
        files.append(file)
    return files


def _image_file(path: Path, line: int, row: Mapping[str | None, str | None]) -> ImageFile:
    if any(row.get(None) or ()):  # such as splits that the header does not name: test in train
        raise DataError(
            f"{path}, line {line}: it has more values than the first line has names; name every "
            "column there, and quote what holds a comma"
        )
    name, label, split = ((row.get(key) or "").strip() for key in ("path", "label", "split"))
    if not name or not label:
        raise DataError(f"{path}, line {line}: it needs a path and a label")
    if split.lower() not in ("", *SPLIT_NAMES):
        raise DataError(
            f"{path}, line {line}: unknown split {split!r}; a split is train, val or test"
        )
    name = Path(name).as_posix()  # "./a.jpg" and "a.jpg" are one image
    return ImageFile(path.parent / name, name, label, SPLIT_NAMES.get(split.lower(), "train"))
