"""Evaluation of an exported file: the figures of a run's, without the run and without Keras."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from cifarlab.data import Dataset, Split, dataset_names, load_dataset
from cifarlab.data.decode import FITS
from cifarlab.errors import DataError, ModelFileError, UnknownNameError, UsageError
from cifarlab.evaluation import Evaluation
from cifarlab.run import SPLITS
from cifarlab.runtimes import ModelInfo, exported_file, open_model

BATCH = 500


def evaluate_file(
    model: str | os.PathLike[str],
    *,
    data: Dataset | str | Path | None = None,
    split: str = "test",
) -> Evaluation:
    """Measure an exported file on a split, each image seen once as it is.

    A file keeps no count of the looks at test: `test_looks` is 0. Whoever chooses among files by
    their figures on test chooses on test.

    Args:
        model: the file, or a bundled model's name.
        data: a dataset or where one is, with the file's class names; by default the one that the
            model was trained on, where a name is enough to find it.
        split: ``"test"``; ``"train"``, all of it; ``"val"`` of data that has an official one.

    Raises:
        ModelFileError: the file cannot be opened.
        DataError: the data cannot be read, has other classes, or lacks the split.
        UsageError: the file does not say where its data is.

    Example:
        >>> random = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
        >>> some = Split(random, np.arange(20) % 10)
        >>> names = open_model(exported_file("cifar10")).info.class_names
        >>> noise = Dataset(name="noise", source="-", class_names=names, train=some, test=some)
        >>> evaluate_file("cifar10", data=noise).n
        20
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    path = exported_file(model)
    if path is None:
        raise ModelFileError(f"{model} is no exported file and no bundled model; check the path")
    exported = open_model(path)
    opened = _open(_dataset(exported.info, path, data), split)
    began = time.perf_counter()
    batches = range(0, len(opened), BATCH)
    logits = np.concatenate([exported(opened.images[i : i + BATCH]) for i in batches])
    return Evaluation(
        *(split, logits, opened.labels, exported.info.class_names, "none", 0),
        seconds=time.perf_counter() - began,
        temperature=exported.info.temperature,
    )


def _dataset(info: ModelInfo, path: Path, data: Dataset | str | Path | None) -> Dataset:
    if data is None:
        data = info.source.get("dataset")
        if data is None or not (data in dataset_names() or Path(data).exists()):
            raise UsageError(f"{path} does not say where its data is; name it with --data")
    if not isinstance(data, Dataset):
        fit = info.fit if info.fit in FITS else FITS[0]
        data = load_dataset(data, image_size=info.image_size, fit=fit)
    if data.class_names != info.class_names:
        raise DataError(
            f"{data.name} has the classes {', '.join(data.class_names)}; "
            f"{path} knows {', '.join(info.class_names)}"
        )
    return data


def _open(dataset: Dataset, split: str) -> Split:
    found = dataset.validation if split == "val" else dataset.train
    if split == "test" and dataset.has_test:
        found = dataset.open_test()
    if found is None or not len(found) or (split == "test" and not dataset.has_test):
        raise DataError(f"{dataset.name} has no {split} split of its own")
    return found
