"""From a list of labelled image files to a dataset: what folders and CSV files share."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarlab.data.dataset import Dataset, Split
from cifarlab.data.decode import decode_image, fit_image
from cifarlab.data.holdout import name_keys, stratified_holdout
from cifarlab.data.progress import progress_bar
from cifarlab.errors import DataError, ImageError

TEST_FRACTION = 0.2  # sealed off where a dataset comes without a test split
SPLIT_NAMES = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""How a split may be called, in lower case, and which it is."""


class ImageFile(NamedTuple):
    """One image of a dataset: where it is, its name in the dataset, its class, its split."""

    path: Path
    name: str
    label: str
    split: str


def assemble(
    files: Iterable[ImageFile],
    *,
    source: Path,
    image_size: int,
    fit: str,
    notes: Sequence[str] = (),
) -> Dataset:
    """Read the images and make a dataset of them, with a test split in any case.

    Without test images, a stratified 20 % of train become the test split. Which, follows from the
    images' names alone, so that neither the listing's order nor later additions move an image.

    Args:
        files: train images and, if there are, validation and test images.
        source: the folder or CSV file; the dataset is called after it.
        image_size: side of the square that images are fitted to, in pixels.
        fit: as in `fit_image`.
        notes: what to tell the user beyond what is told here.

    Raises:
        DataError: fewer than two classes, classes that differ between splits, a class whose name is
            no text, an unreadable image.
    """
    splits: dict[str, list[ImageFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.name):
        splits[file.split].append(file)
    if not splits["train"]:
        raise DataError(f"{source} has no images to train on; put images in it, by class")
    class_names = _class_names(splits, source)
    notes = list(notes)
    if not splits["test"]:
        _carve_test(splits, class_names, source)
        notes.append(
            f"no test split was given: {len(splits['test'])} images ({TEST_FRACTION:.0%} of each "
            "class, chosen by file name) are sealed off as test"
        )
    arrays = {
        split: _read(members, class_names, image_size, fit)
        for split, members in splits.items()
        if members
    }
    return Dataset(
        name=source.stem if source.is_file() else source.name,
        source=str(source),
        class_names=class_names,
        train=arrays["train"],
        validation=arrays.get("validation"),
        test=arrays["test"],
        fit=fit,
        notes=notes,
    )


def _class_names(splits: dict[str, list[ImageFile]], source: Path) -> list[str]:
    """The classes of train, sorted; the other splits must know the same ones, by name."""
    present = {split: {file.label for file in files} for split, files in splits.items() if files}
    train = present.pop("train")
    for name in train:
        _require_unicode(name, source)
    for split, labels in present.items():
        if extra := sorted(labels - train):
            raise DataError(
                f"{source}: class {extra[0]!r} is in {split} but not in train; "
                "name it as in train, or add training images of it"
            )
    if present and (alone := sorted(train - set().union(*present.values()))):
        raise DataError(
            f"{source}: class {alone[0]!r} is in train alone; "
            f"add images of it to {' or '.join(sorted(present))}, or remove it"
        )
    if len(train) < 2:
        raise DataError(
            f"{source} has one class only ({min(train)!r}); a classifier needs two or more"
        )
    return sorted(train, key=_natural)


def _require_unicode(name: str, source: Path) -> None:
    """Refuse the name of a folder whose bytes are no text: nothing could print or draw it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{source}: the folder {name!a} has no name in UTF-8; rename it, because its name is "
            "its class's"
        ) from None


def _natural(name: str) -> tuple[int, int, str]:
    """Whole numbers in their order, then other names in theirs."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _carve_test(
    splits: dict[str, list[ImageFile]], class_names: Sequence[str], source: Path
) -> None:
    """Move the held-out part of train to test."""
    files = splits["train"]
    index = {name: i for i, name in enumerate(class_names)}
    labels = np.array([index[file.label] for file in files])
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < 2:
        raise DataError(
            f"{source}: class {class_names[int(counts.argmin())]!r} has one image; a class needs "
            "two or more, one to train on and one to test with"
        )
    parts = stratified_holdout(labels, TEST_FRACTION, name_keys(file.name for file in files))
    splits["train"], splits["test"] = ([files[i] for i in part] for part in parts)


def _read(files: Sequence[ImageFile], class_names: Sequence[str], size: int, fit: str) -> Split:
    """Decode and fit all images of a split, on every core."""
    images: NDArray[np.uint8] = np.empty((len(files), size, size, 3), dtype=np.uint8)
    sizes = np.empty((len(files), 2), dtype=np.int64)

    def read(i: int) -> str | None:
        """Fill place ``i``, or say why not."""
        try:
            image = decode_image(files[i].path)
        except ImageError as error:
            return str(error)
        sizes[i] = image.shape[:2]
        images[i] = fit_image(image, size, fit)
        return None

    failures = []
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,  # Pillow decodes outside of Python's lock
        progress_bar(f"reading {files[0].split} images", len(files), size=False) as update,
    ):
        try:
            for done, failure in enumerate(pool.map(read, range(len(files))), start=1):
                if failure is not None:
                    failures.append(failure)
                update(done)
        except BaseException:  # Ctrl-C does not wait for the images in the queue
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        more = f" ({len(failures) - 1} more cannot be read)" if len(failures) > 1 else ""
        raise DataError(f"{failures[0]}; or remove it from the dataset{more}")
    index = {name: i for i, name in enumerate(class_names)}
    labels = np.array([index[file.label] for file in files], dtype=np.int64)
    return Split(images, labels, sizes, np.array([file.name for file in files]))
