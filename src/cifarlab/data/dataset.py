"""What everything else trains on and measures with: splits of labelled images, the test sealed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.data.holdout import random_keys, stratified_holdout
from cifarlab.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images. The arrays are read-only, so that a fingerprint once taken stays true.

    Args:
        images: uint8 (N, H, W, 3), RGB.
        labels: int64 (N,), indices of classes.
        original_sizes: int64 (N, 2), height and width before the images were fitted; None where
            they were not.
        names: (N,) files that the images came from, relative to the dataset; None where they
            came from none.

    Raises:
        DataError: shapes, types or lengths are not these.

    Example:
        >>> split = Split(np.zeros((4, 32, 32, 3), np.uint8), np.arange(4))
        >>> len(split), split.select([0, 2]).labels.tolist()
        (4, [0, 2])
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    original_sizes: NDArray[np.int64] | None = None
    names: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        """Check, and keep read-only views of the arrays."""
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise DataError(f"images must be uint8 (N, H, W, 3), not {images.dtype} {images.shape}")
        if labels.ndim != 1 or (len(labels) and not np.issubdtype(labels.dtype, np.integer)):
            raise DataError(f"labels must be integers (N,), not {labels.dtype} {labels.shape}")
        self._keep("images", images, images.dtype)
        self._keep("labels", labels, np.int64)
        self._keep("original_sizes", self.original_sizes, np.int64)
        self._keep("names", self.names, np.str_)

    def _keep(self, field: str, value: ArrayLike | None, dtype: type | np.dtype) -> None:
        if value is None:
            return
        array = np.ascontiguousarray(value, dtype=dtype).view()
        if len(array) != len(self.images):
            raise DataError(f"{len(self.images)} images have {len(array)} {field}; give one each")
        array.flags.writeable = False
        object.__setattr__(self, field, array)  # the class is frozen to everyone else

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def select(self, indices: ArrayLike) -> Split:
        """The images at ``indices`` (int (K,)), in that order, copied."""
        index = np.asarray(indices, dtype=np.int64)
        return Split(
            self.images[index],
            self.labels[index],
            None if self.original_sizes is None else self.original_sizes[index],
            None if self.names is None else self.names[index],
        )


class Dataset:
    """Class names and splits. The test split is sealed: `open_test` is its only door.

    Args:
        name: what people call it, such as ``"cifar10"``.
        source: what `load_dataset` loads it from again: a name or an absolute path.
        class_names: one for each label, two or more, all different.
        train: what is trained on; `carve` takes the validation split from it.
        validation: an official validation split, if there is one.
        test: the test split, or a function that reads it when it is first needed.
        fit: how the images were made square: ``"crop"``, ``"stretch"`` or ``"pad"``.
        notes: what a user should know of how it was loaded, a line each.

    Raises:
        DataError: the parts do not fit together.

    Example:
        >>> train = Split(np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 1, 0, 1]))
        >>> data = Dataset(name="mine", source="mine", class_names=("cat", "dog"), train=train)
        >>> data.num_classes, data.image_size, data.has_test
        (2, 32, False)
    """

    def __init__(
        self,
        *,
        name: str,
        source: str,
        class_names: Sequence[str],
        train: Split,
        validation: Split | None = None,
        test: Split | Callable[[], Split] | None = None,
        fit: str = "crop",
        notes: Iterable[str] = (),
    ):
        """Check the parts and keep them."""
        self.name, self.source, self.fit = name, source, fit
        self.class_names, self.notes = tuple(class_names), tuple(notes)
        self.train, self.validation = train, validation
        self._test = test
        self._check_classes()
        self._check_split("train", train)
        if validation is not None:
            self._check_split("validation", validation)
        if isinstance(test, Split):
            self._check_split("test", test)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return self.train.images.shape[1]

    @property
    def has_test(self) -> bool:
        """Whether there is a test split."""
        return self._test is not None

    @property
    def test_size(self) -> int:
        """Number of test images, 0 without a test split."""
        return len(self.open_test()) if self.has_test else 0

    def open_test(self) -> Split:
        """Break the seal. Only evaluation, exploration and audit may; each look is counted there.

        Raises:
            DataError: there is no test split.
        """
        if self._test is None:
            raise DataError(
                f"dataset {self.name!r} has no test split; add a test/ folder or a split column"
            )
        if not isinstance(self._test, Split):
            test = self._test()
            self._check_split("test", test)
            self._test = test
        return self._test

    def carve(self, fraction: float, seed: int) -> tuple[Split, Split]:
        """The splits to train with and to choose by.

        Args:
            fraction: share of train to hold out for validation, in [0, 1): stratified and the same
                for the same seed everywhere. 0 gives all of train and an empty split. Where there
                is an official validation split, every other fraction gives that.
            seed: 0 to 2**64 - 1.

        Returns:
            ``(train, validation)``, images in their original order.

        Raises:
            UsageError: ``fraction`` or ``seed`` is out of range.
            DataError: no class has an image to spare.
        """
        kept, held = stratified_holdout(
            self.train.labels, fraction, random_keys(len(self.train), seed)
        )
        if fraction == 0:
            return self.train, self.train.select([])
        if self.validation is not None:
            return self.train, self.validation
        if len(held) == 0:
            raise DataError(
                f"dataset {self.name!r} has one image a class to train on, none to hold out for "
                "validation; add images, or train without validation (fraction 0)"
            )
        return self.train.select(kept), self.train.select(held)

    @cached_property
    def fingerprint(self) -> str:
        """``"sha256:<hex>"`` of class names and of every split's shape, labels and pixels.

        The test split is part of it, so that evaluation can tell other data from the same; taking
        it is not a look: nothing is learned from a digest.
        """
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        test = self.open_test() if self.has_test else None
        for name, split in (("train", self.train), ("validation", self.validation), ("test", test)):
            if split is not None:
                digest.update(f"\n{name} {split.images.shape}\n".encode())
                digest.update(split.labels.astype("<i8", copy=False).data)
                digest.update(split.images.data)
        return f"sha256:{digest.hexdigest()}"

    def _check_classes(self) -> None:
        if len(self.class_names) < 2:
            found = f" ({self.class_names[0]!r})" if self.class_names else ""
            raise DataError(
                f"dataset {self.name!r} has {len(self.class_names)} class(es){found}; "
                "a classifier needs two or more"
            )
        twice = [name for name, n in Counter(self.class_names).items() if n > 1]
        if twice:
            raise DataError(f"dataset {self.name!r} names two classes {twice[0]!r}; rename one")

    def _check_split(self, name: str, split: Split) -> None:
        size = self.train.images.shape[1]
        if split.images.shape[1:] != (size, size, 3):
            raise DataError(
                f"{name} images of {self.name!r} are {split.images.shape[1:3]}; "
                f"all must be square and of one size, here {size} x {size}"
            )
        if len(split) == 0:
            raise DataError(f"the {name} split of {self.name!r} has no images; add some")
        low, high = int(split.labels.min()), int(split.labels.max())
        if low < 0 or high >= self.num_classes:
            raise DataError(
                f"{name} labels of {self.name!r} run from {low} to {high}; "
                f"{self.num_classes} classes have 0 to {self.num_classes - 1}"
            )

    def __repr__(self) -> str:
        """Name, classes and sizes; the test split stays closed."""
        sealed = ", test sealed" if self.has_test else ", no test"
        return (
            f"<Dataset {self.name!r}: {self.num_classes} classes, {len(self.train)} train"
            f"{sealed}, {self.image_size}x{self.image_size}>"
        )


def one_hot(labels: ArrayLike, num_classes: int) -> NDArray[np.float32]:
    """Labels as rows with a single 1.

    Args:
        labels: int (N,) in [0, num_classes).
        num_classes: number of columns.

    Returns:
        float32 (N, num_classes).

    Raises:
        DataError: a label is out of range, or not a whole number.

    Example:
        >>> one_hot([1, 0], 3)
        array([[0., 1., 0.],
               [1., 0., 0.]], dtype=float32)
    """
    index = np.asarray(labels)
    if index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
        raise DataError(f"labels must be integers (N,), not {index.dtype} {index.shape}")
    if index.size and not 0 <= index.min() <= index.max() < num_classes:
        raise DataError(
            f"labels run from {index.min()} to {index.max()}; "
            f"{num_classes} classes have 0 to {num_classes - 1}"
        )
    rows = np.zeros((len(index), num_classes), dtype=np.float32)
    rows[np.arange(len(index)), index.astype(np.int64)] = 1
    return rows
