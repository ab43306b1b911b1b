"""Answers to the images of a split: those that a run kept, or those of a published file.

Nothing is predicted here and no image is opened: what was answered once is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics
from cifarlab.answers.published import SUFFIXES, read_published
from cifarlab.data import Dataset, load_dataset, one_hot
from cifarlab.errors import DataError, RunError, UnknownNameError
from cifarlab.run import SPLITS, Run

__all__ = ["Answers", "evaluate_predictions", "read_answers"]

# The figures of `metrics.summarize` that classes alone allow; the others need to know how sure.
OF_CLASSES = (
    *("n", "accuracy", "accuracy_ci95", "balanced_accuracy", "balanced_accuracy_ci95"),
    *("per_class", "confusion_matrix", "most_confused"),
)


@dataclass(frozen=True, eq=False)
class Answers:
    """What one model answered to the N images of a split.

    Attributes:
        name: of the run or the file.
        source: the run's folder or the file.
        predictions: int64 (N,).
        labels: int64 (N,); None of a file that does not hold them.
        class_names: C names; None where nobody says them.
        logits: float64 (N, C) as the model gave them; None where only classes are known.
        temperature: by which to divide the logits.
        tta: the views that the logits are means over; None where nobody says so.
        run: the run; None of a file.

    Example:
        >>> answers = Answers("mine", Path("mine.npy"), np.array([0, 1]), np.array([0, 0]))
        >>> answers.right.tolist(), answers.figures(answers.labels, ["cat", "dog"])["accuracy"]
        ([True, False], 0.5)
    """

    name: str
    source: Path
    predictions: NDArray[np.int64]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    logits: NDArray[np.float64] | None = None
    temperature: float = 1.0
    tta: str | None = None
    run: Run | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are right, bool (N,); only where the labels are known."""
        if self.labels is None:
            raise DataError(f"{self.source} holds no labels")
        return self.predictions == self.labels

    def figures(self, labels: NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
        """Those of `metrics.summarize`; of classes alone only what they allow.

        Raises:
            CifarlabError: not as many labels as answers.
        """
        if self.logits is not None:
            return metrics.summarize(self.logits, labels, class_names, self.temperature)
        # A 1 for the class that is answered: accuracy and confusions depend on nothing else.
        every = metrics.summarize(one_hot(self.predictions, len(class_names)), labels, class_names)
        return {key: every[key] for key in OF_CLASSES}


def read_answers(
    source: Run | str | Path, split: str = "test", class_names: Sequence[str] | None = None
) -> Answers:
    """The answers that a run kept for a split, or those of a file of predictions.

    Args:
        source: a run, its folder, or a file (docs/compare.md defines the forms).
        split: ``"test"``, ``"val"`` or ``"train"``; a file is taken for answers to that one.
        class_names: in which the names of a file are looked up.

    Raises:
        RunError: the run has not been evaluated on the split, or is damaged; nothing is there.
        DataError: the file is not of a known form.

    Example:
        >>> _ = (tmp_path / "theirs.txt").write_text("cat\\ndog\\ncat\\n")
        >>> read_answers(tmp_path / "theirs.txt", class_names=["cat", "dog"]).predictions
        array([0, 1, 0])
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    path = source.path if isinstance(source, Run) else Path(source)
    if path.is_file():
        found = read_published(path, class_names)
        temperature = found.pop("temperature")
        return Answers(path.name, path, **found, temperature=temperature or 1.0)
    if not path.exists():
        raise RunError(f"there is no run folder and no file of predictions {path}")
    run = source if isinstance(source, Run) else Run(path)
    kept = run.predictions(split)
    try:
        logits, labels = kept["logits"].astype(np.float64), kept["labels"].astype(np.int64)
        temperature = float(kept.get("temperature", 1.0))
        tta = str(kept["tta"]) if "tta" in kept else None
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path / f'predictions-{split}.npz'} is damaged: {error!r}") from error
    names = tuple(str(name) for name in run.data["class_names"])
    predictions = logits.argmax(axis=1)
    return Answers(run.name, path, predictions, labels, names, logits, temperature, tta, run)


def evaluate_predictions(
    file: str | Path, data: Dataset | str | Path = "cifar10", split: str = "test"
) -> dict[str, Any]:
    """The figures of a file of predictions or logits, without any model.

    No run counts this as a look at test: there is none. Whoever chooses among several files by
    their figures here chooses on test.

    Args:
        file: predictions in the order of the split (docs/compare.md defines the forms).
        data: a dataset, or where one is.
        split: ``"test"``; ``"val"`` of data that has an official one; ``"train"``, all of it.

    Returns:
        ``file``, ``dataset``, ``split``, ``tta`` (None where the file does not say), ``test_looks``
        (0: a file keeps no count), and the figures of `metrics.summarize`: all of them for logits,
        those of right and wrong alone for classes.

    Raises:
        DataError: the file or the data cannot be read, or they do not fit each other.

    Example:
        >>> from cifarlab.data import Split
        >>> test = Split(np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 0, 1, 1]))
        >>> names = ("cat", "dog")
        >>> data = Dataset(name="d", source="d", class_names=names, train=test, test=test)
        >>> _ = (tmp_path / "theirs.txt").write_text("cat\\ncat\\ndog\\ncat\\n")
        >>> evaluate_predictions(tmp_path / "theirs.txt", data)["accuracy"]
        0.75
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    path = Path(file)
    if not path.is_file():
        raise DataError(f"there is no file {path}; predictions are in {', '.join(SUFFIXES)} files")
    dataset = data if isinstance(data, Dataset) else load_dataset(data)
    answers = read_answers(path, split, dataset.class_names)
    if answers.class_names != dataset.class_names:
        raise DataError(f"{path} names other classes than {dataset.name}: {answers.class_names}")
    labels = _labels(dataset, split)
    if len(answers.predictions) != len(labels):
        raise DataError(
            f"{path} has {len(answers.predictions):,} answers, but the {split} split of "
            f"{dataset.name} has {len(labels):,} images"
        )
    if answers.labels is not None and not np.array_equal(answers.labels, labels):
        raise DataError(f"the labels in {path} are not those of the {split} split; is it another?")
    figures = answers.figures(labels, dataset.class_names)
    of_file = {"file": str(path), "dataset": dataset.name, "split": split}
    return {**of_file, **figures, "tta": answers.tta, "test_looks": 0}


def _labels(dataset: Dataset, split: str) -> NDArray[np.int64]:
    if split == "test":
        return dataset.open_test().labels
    if split == "train":
        return dataset.train.labels
    if dataset.validation is None:
        raise DataError(
            f"{dataset.name} has no validation split of its own, only those that runs carve from "
            "train; set the file beside such a run with: cifarlab compare RUN FILE --split val"
        )
    return dataset.validation.labels
