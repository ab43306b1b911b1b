"""Datasets by name or path: `load_dataset` is the door to all of them."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cifarlab.data import cifar, download, places
from cifarlab.data.containers import is_archive
from cifarlab.data.dataset import Dataset, Split
from cifarlab.data.decode import FITS, MAX_PIXELS, fit_image
from cifarlab.data.folder import load_folder
from cifarlab.data.holdout import random_keys, stratified_holdout
from cifarlab.data.table import load_table
from cifarlab.errors import DataError, DataNotFoundError, UnknownNameError, UsageError

MAX_SIDE = math.isqrt(MAX_PIXELS)
_SEARCH_SWITCHES = "set CIFARLAB_DATA to a folder that holds it, or train with --fallback digits"


class Source(NamedTuple):
    """A dataset that has a name: what it is, and where it was found (None: to be downloaded)."""

    name: str
    summary: str
    found: str | None


def load_dataset(
    source: str | Path = "cifar10",
    *,
    image_size: int = 32,
    fit: str = "crop",
    download: bool = True,
) -> Dataset:
    """Load a dataset.

    Args:
        source: a name (`dataset_names`), or a path: a CIFAR-10 archive or folder in any official
            form, a folder of class folders (with or without ``train/ val/ test/``), or a CSV file
            of ``path,label[,split]``. A name wins; write ``./digits`` for a folder of that name.
        image_size: side of the square images in pixels; images of another size are resized.
        fit: how an image that is not square becomes so: ``"crop"``, ``"stretch"`` or ``"pad"``.
        download: whether CIFAR-10 may be fetched where it is not on this machine.

    Returns:
        a `Dataset` with images uint8 (N, image_size, image_size, 3), its test split sealed.

    Raises:
        UnknownNameError: no dataset and no file has that name, or ``fit`` is unknown.
        UsageError: ``image_size`` is no whole number of 1 or more, or a picture of that side would
            be larger than those that are read.
        DataNotFoundError: CIFAR-10 is neither on this machine nor reachable.
        DataError: what is there is damaged or unfit; the message says what and where.

    Example:
        >>> data = load_dataset("digits", image_size=16)
        >>> data.train.images.shape, data.test_size
        ((1438, 16, 16, 3), 359)
    """
    if type(image_size) is not int or not 1 <= image_size <= MAX_SIDE:
        allowed = f"a whole number from 1 to {MAX_SIDE}"
        raise UsageError(f"image_size must be {allowed}, not {image_size!r}")
    if fit not in FITS:
        raise UnknownNameError("fit", fit, FITS)
    try:
        if source == "cifar10":
            return _load_cifar10(image_size, fit, download)
        if source == "digits":
            return _load_digits(image_size, fit)
        return _load_path(source, image_size, fit)
    except MemoryError as error:
        raise DataError(
            f"{source} does not fit into memory at {image_size} x {image_size} pixels; "
            "choose a smaller image_size"
        ) from error


def dataset_names() -> list[str]:
    """The names that `load_dataset` knows."""
    return ["cifar10", "digits"]


def describe_sources() -> list[Source]:
    """The named datasets, each with a summary and where it lies on this machine."""
    found = places.find_cifar()
    digits = importlib.util.find_spec("sklearn")
    return [
        Source(
            "cifar10",
            "60,000 photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009)",
            str(found) if found else None,
        ),
        Source(
            "digits",
            "1,797 handwritten digits of 8 x 8 pixels in ten classes, part of scikit-learn",
            "scikit-learn" if digits else None,
        ),
    ]


def _load_cifar10(image_size: int, fit: str, may_download: bool) -> Dataset:
    path = places.find_cifar() or _fetch_cifar10(may_download)
    data = cifar.read_cifar(path, must_be_official=True)
    return _cifar_dataset(data, "cifar10", "cifar10", image_size, fit)


def _fetch_cifar10(may_download: bool) -> Path:
    """Download CIFAR-10 to the cache, or say where it was looked for."""
    looked = ", ".join(f"{place.folder} ({place.owner})" for place in places.cifar_places())
    if not may_download:
        raise DataNotFoundError(
            f"CIFAR-10 is not on this machine (looked in {looked}) and downloading is off; "
            f"{_SEARCH_SWITCHES}"
        )
    try:
        return download.fetch_any(download.CIFAR10, places.cache_folder())
    except download.UnreachableError as error:
        raise DataNotFoundError(
            f"CIFAR-10 is neither on this machine (looked in {looked}) nor reachable ({error}); "
            f"{_SEARCH_SWITCHES}"
        ) from error


def _load_path(source: str | Path, image_size: int, fit: str) -> Dataset:
    path = Path(os.path.expanduser(source))
    if not str(source) or not os.path.exists(path):  # an empty name is no path, though Path("") is
        if isinstance(source, str) and re.fullmatch(r"[\w-]+", source):
            raise UnknownNameError("dataset", source, dataset_names())
        raise DataError(
            f"{str(source)!r} does not exist; give a folder of class folders, a CSV file, a "
            f"CIFAR-10 archive or folder, or one of {', '.join(dataset_names())}"
        )
    path = Path(os.path.abspath(path))
    if path.is_dir():
        if found := cifar.find_in(path):
            return _load_cifar_path(found, path, image_size, fit)
        return load_folder(path, image_size=image_size, fit=fit)
    if path.suffix.lower() == ".csv":
        return load_table(path, image_size=image_size, fit=fit)
    if not is_archive(path):
        raise DataError(
            f"{path} is no dataset: a file must be a CSV or a CIFAR-10 archive (.tar.gz, .tar); "
            "images go into a folder of class folders"
        )
    return _load_cifar_path(path, path, image_size, fit)


def _load_cifar_path(path: Path, source: Path, image_size: int, fit: str) -> Dataset:
    """A CIFAR-10 folder or archive that the user gave; ``source`` is what was given."""
    data = cifar.read_cifar(path, must_be_official=False)
    name = "cifar10" if data.official else source.name.split(".")[0]
    notes = () if data.official else (f"{path} is in CIFAR-10's form, but not the official data",)
    return _cifar_dataset(data, name, str(source), image_size, fit, notes)


def _cifar_dataset(
    data: cifar.Cifar, name: str, source: str, image_size: int, fit: str, notes: tuple = ()
) -> Dataset:
    train, test = (_resized(split, image_size, fit) for split in (data.train, data.test))
    return Dataset(
        name=name,
        source=source,
        class_names=data.class_names,
        train=train,
        test=test,
        fit=fit,
        notes=notes,
    )


def _load_digits(image_size: int, fit: str) -> Dataset:
    """The test set of the UCI digits (Alpaydin and Kaynak 1998), as scikit-learn carries it."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), was 0 to 16
    split = Split(np.repeat(grey[..., None], 3, axis=3), bunch.target)
    kept, held = stratified_holdout(split.labels, 0.2, random_keys(len(split), seed=0))
    split = _resized(split, image_size, fit)
    return Dataset(
        name="digits",
        source="digits",
        class_names=[str(digit) for digit in range(10)],
        train=split.select(kept),
        test=split.select(held),
        fit=fit,
        notes=("scikit-learn has no test split of it: a fixed, stratified 20 % is sealed off",),
    )


def _resized(split: Split, size: int, fit: str) -> Split:
    """The split with images (N, size, size, 3)."""
    height, width = split.images.shape[1:3]
    if (height, width) == (size, size):
        return split
    images = np.empty((len(split), size, size, 3), dtype=np.uint8)
    for i, image in enumerate(split.images):
        images[i] = fit_image(image, size, fit)
    sizes = np.broadcast_to([height, width], (len(split), 2))
    return replace(split, images=images, original_sizes=sizes)
