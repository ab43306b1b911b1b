"""The images on which an export must agree with its run: the test split's, and odd ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifarlab.data import Dataset
from cifarlab.errors import CifarlabError, ExportError
from cifarlab.prepare import find_data
from cifarlab.run import Run

GENERATED = 1000  # images in place of the test split where the dataset is not at hand
BATCH = 250

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Case:
    """Images that are given to a file so many at a time.

    Attributes:
        name: a word.
        images: uint8 (N, S, S, 3).
        batch: a call's number of images; the last call has what is left.
        labels: int64 (N,) of validation images; None where nobody may know them.
    """

    name: str
    images: Pixels
    batch: int
    labels: NDArray[np.int64] | None = None


def find_dataset(run: Run, data: Dataset | str | None, int8: bool) -> tuple[Dataset | None, str]:
    """The run's dataset, or None and why it is not there.

    Raises:
        CifarlabError: it is not there and was named, or int8 cannot do without.
    """
    try:
        return find_data(run, data, download=int8), ""
    except CifarlabError as error:
        if data is not None or int8:
            raise
        return None, str(error)


def make_cases(run: Run, dataset: Dataset | None) -> list[Case]:
    """What a file is asked, the longest first.

    The test images are taken without their labels: whether two programs agree says nothing of how
    good they are, and so is no look at the test split.
    """
    size = int(run.data["image_size"])
    if dataset is not None and dataset.has_test:
        first = Case("test", dataset.open_test().images, BATCH)
    else:
        first = Case("generated", generated_images(size), BATCH)
    return [first, *odd_cases(size)]


def validation_case(run: Run, dataset: Dataset) -> Case:
    """The run's own validation images with their labels.

    Raises:
        ExportError: it held none out.
    """
    _, held = dataset.carve(run.data["validation_fraction"], run.data["split_seed"])
    if not len(held):
        raise ExportError(
            f"int8 is judged on validation images, and {run.path} held none out; "
            "train it with --val 0.1"
        )
    return Case("validation", held.images, BATCH, held.labels)


def odd_cases(size: int) -> list[Case]:
    """Pictures of nothing, alone and in batches of prime numbers.

    Example:
        >>> {case.name: (len(case.images), case.batch) for case in odd_cases(8)}
        {'black': (1, 1), 'white': (1, 1), 'single-pixels': (60, 7), 'noise': (101, 101)}
    """
    black = np.zeros((1, size, size, 3), np.uint8)
    pixels = np.zeros((60, size, size, 3), np.uint8)
    corners = [(0, 0), (0, size - 1), (size - 1, 0), (size - 1, size - 1), (size // 2, size // 2)]
    for number in range(60):
        row, column = corners[number % 5]
        pixels[number, row, column, number % 3] = (1, 127, 128, 255)[number // 15]
    noise = np.random.default_rng(0).integers(0, 256, (101, size, size, 3), dtype=np.uint8)
    return [
        Case("black", black, 1),
        Case("white", 255 - black, 1),
        Case("single-pixels", pixels, 7),
        Case("noise", noise, 101),
    ]


def generated_images(size: int) -> Pixels:
    """`GENERATED` patchworks of random colours, coarse and fine: uint8 (N, size, size, 3)."""
    random = np.random.default_rng(1)
    images = np.empty((GENERATED, size, size, 3), np.uint8)
    for number in range(GENERATED):
        side = 2 ** (number % 5)  # of a patch, in pixels
        patches = random.integers(0, 256, (-(-size // side), -(-size // side), 3), dtype=np.uint8)
        images[number] = patches.repeat(side, 0).repeat(side, 1)[:size, :size]
    return images
