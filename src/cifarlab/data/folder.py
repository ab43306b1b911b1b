"""A folder of class folders, with or without ``train/``, ``val/`` and ``test/`` above them.

    photos/cat/1.jpg            photos/train/cat/1.jpg
    photos/dog/1.jpg            photos/train/dog/1.jpg
                                photos/test/cat/2.jpg …

Class folders are searched to any depth. A folder called like a split is one if it holds folders and
no images (``train`` with images in it is a class of trains). Hidden files are passed over; links to
folders within a class are not followed, lest they lead in circles, and are noted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cifarlab.data.assemble import SPLIT_NAMES, ImageFile, assemble
from cifarlab.data.dataset import Dataset
from cifarlab.data.decode import EXTENSIONS
from cifarlab.errors import DataError

_NOT_HIDDEN_BUT_NOT_OURS = ("__MACOSX", "Thumbs.db", "desktop.ini")


def load_folder(root: Path, *, image_size: int, fit: str) -> Dataset:
    """Load a folder of class folders.

    Args:
        root: an existing folder.
        image_size: side of the square that images are fitted to, in pixels.
        fit: as in `fit_image`.

    Raises:
        DataError: no classes, an empty class, splits that contradict each other, or what `assemble`
            refuses.
    """
    try:
        splits, notes = _split_folders(root)
        files, others = [], []
        for split, folder in splits.items():
            for path in _class_folders(folder):
                found = list(_files(path))
                images = [file for file in found if _is_image(file)]
                others += [file for file in found if not _is_image(file)]
                if not images:
                    raise DataError(f"{path} has no images; add some, or remove the folder")
                files += [
                    ImageFile(file, file.relative_to(root).as_posix(), path.name, split)
                    for file in images
                ]
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
    if others:
        first = others[0].relative_to(root).as_posix()
        notes.append(f"{len(others)} file(s) that are no images were left out, such as {first}")
    return assemble(files, source=root, image_size=image_size, fit=fit, notes=notes)


def _split_folders(root: Path) -> tuple[dict[str, Path], list[str]]:
    """Split to the folder that holds its classes, and notes; the root itself without splits."""
    folders = _folders(root)
    found: dict[str, Path] = {}
    for folder in filter(_is_split, folders):
        split = SPLIT_NAMES[folder.name.lower()]
        if split in found:
            raise DataError(
                f"{root} has two {split} splits, {found[split].name}/ and {folder.name}/; keep one"
            )
        found[split] = folder
    if not found:
        _check_classes(root, folders)
        return {"train": root}, []
    if "train" not in found:
        raise DataError(
            f"{root} has {next(iter(found.values())).name}/ but no train/; "
            "put the training images in train/<class>/"
        )
    ignored = [folder.name for folder in folders if folder not in found.values()]
    notes = [f"folders beside the splits were left out: {', '.join(ignored)}"] if ignored else []
    return found, notes


def _check_classes(root: Path, folders: list[Path]) -> None:
    if folders:
        return
    loose = any(_is_image(path) for path in root.iterdir())
    what = "images but no class folders" if loose else "no class folders with images"
    raise DataError(f"{root} has {what}; put the images of each class in a folder of its name")


def _class_folders(folder: Path) -> list[Path]:
    folders = _folders(folder)
    if not folders:
        raise DataError(f"{folder} has no class folders; put the images in {folder.name}/<class>/")
    return folders


def _is_split(folder: Path) -> bool:
    if folder.name.lower() not in SPLIT_NAMES:
        return False
    return bool(_folders(folder)) and not any(_is_image(path) for path in folder.iterdir())


def _folders(folder: Path) -> list[Path]:
    """The visible folders in a folder, by name."""
    return sorted(path for path in folder.iterdir() if _is_visible(path.name) and path.is_dir())


def _files(folder: Path) -> Iterator[Path]:
    """The visible files in a folder and the folders below it, by name, and links to folders."""
    for place, below, names in os.walk(folder, onerror=_refuse):
        below[:] = sorted(filter(_is_visible, below))
        links = [name for name in below if os.path.islink(os.path.join(place, name))]
        visible = [*filter(_is_visible, names), *links]
        yield from (Path(place, name) for name in sorted(visible))


def _refuse(error: OSError) -> None:
    """A folder that cannot be read; left to itself `os.walk` passes over its images in silence."""
    raise error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and _is_visible(path.name) and path.is_file()


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_HIDDEN_BUT_NOT_OURS
