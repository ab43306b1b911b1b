"""Image files by path, folder or pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from cifarlab.data.decode import EXTENSIONS
from cifarlab.errors import ImageError


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that `paths` stand for.

    A file stands for itself, whatever its name. A folder stands for all files under it that have
    an image's extension, sorted, without hidden ones. A pattern (`*`, `?`, `[`) stands for what it
    matches, sorted, each file once; `**` is any depth. A path where there is nothing is left in the
    list, for the prediction to say so; so is a folder that may not be read.

    Raises:
        ImageError: there is no image in a folder, or nothing matches a pattern.
    """
    found: list[Path] = []
    for path in (os.fspath(path) for path in paths):
        is_pattern = glob.has_magic(path) and not os.path.lexists(path)
        matches = sorted(glob.glob(path, recursive=True)) if is_pattern else [path]
        if not matches:
            raise ImageError(f"no file matches {path}; check the pattern")
        images: list[Path] = []
        for match in map(Path, matches):
            images += _images_under(match) if match.is_dir() else [match]
        found += dict.fromkeys(images)  # "**" matches a folder, and all that is in it as well
    return found


def _images_under(folder: Path) -> list[Path]:
    """Visible files with an image's extension at any depth, sorted; links to folders are left."""
    found: list[Path] = []
    closed = lambda error: found.append(Path(error.filename))  # noqa: E731
    for parent, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in files if not name.startswith("."))
        found += [Path(parent, n) for n in visible if Path(n).suffix.lower() in EXTENSIONS]
    if not found:
        raise ImageError(
            f"there is no image in {folder}; looked for {', '.join(sorted(EXTENSIONS))}"
        )
    return sorted(found)
