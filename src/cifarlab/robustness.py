"""Robustness: how much of its accuracy a run keeps when images go bad.

Every corruption of `cifarlab.corrupt` at every severity on the same images, from one opening of
the split; the model alone, without test-time augmentation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics
from cifarlab.corrupt import (
    CORRUPTIONS,
    KINDS,
    SEVERITIES,
    corrupt,
    corruption_names,
    get_corruption,
)
from cifarlab.data import Dataset
from cifarlab.engine import forward, predict_logits
from cifarlab.errors import UsageError
from cifarlab.evaluate import open_split
from cifarlab.files import write_json
from cifarlab.run import Run

LIMIT = 1000  # images: 21 corruptions at five severities then take minutes on two cores
FILE = "robustness.json"

Bools = NDArray[np.bool_]
# What is told while it works: (tables done, tables in all, what comes next).
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Robustness:
    """Which images a run classifies right, clean and corrupted, and the figures from that.

    Attributes:
        split: ``"val"``, ``"test"`` or ``"train"``.
        severities: (K,) of those measured, in [1, 5], ascending.
        clean: bool (N,), whether each image is classified right as it is.
        right: name of a corruption to bool (K, N), the same when corrupted.
        images_in_split: how many there are; N of them were drawn.
        seed: of the draw and of the corruptions.
        test_looks: how often this run's test split has been opened, this time included.
        seconds: wall time.
        own: whether they are of the data that the run was trained on.

    Example:
        >>> right = {"fog": np.array([[True, False]]), "shift": np.array([[True, True]])}
        >>> found = Robustness("val", (3,), np.array([True, True]), right, 2, 0, 0, 0.0)
        >>> found.accuracy("fog", 3), found.mean_accuracy("geometry")
        (0.5, 1.0)
    """

    split: str
    severities: tuple[int, ...]
    clean: Bools
    right: dict[str, Bools]
    images_in_split: int
    seed: int
    test_looks: int
    seconds: float
    own: bool = True

    @property
    def n(self) -> int:
        """Number of images, the same ones in every cell of the table."""
        return len(self.clean)

    @property
    def clean_accuracy(self) -> float:
        """Share of the images that is classified right as they are."""
        return float(self.clean.mean())

    def accuracy(self, name: str, severity: int | None = None) -> float:
        """Accuracy under a corruption at one severity, or its mean over those measured."""
        right = self.right[name]
        chosen = right if severity is None else right[self.severities.index(severity)]
        return float(chosen.mean())

    def names(self, kind: str | None = None) -> list[str]:
        """The measured corruptions of a kind, or with None all that change no geometry."""
        wanted = [kind] if kind else [each for each in KINDS if each != "geometry"]
        return [name for name in self.right if CORRUPTIONS[name].kind in wanted]

    def mean_accuracy(self, kind: str | None = None) -> float | None:
        """Mean accuracy over `names` of that kind and all severities; None where none is measured.

        Without a kind this is the mean corruption accuracy: one minus the mean corruption error
        of CIFAR-10-C, over our corruptions.
        """
        names = self.names(kind)
        return float(np.mean([self.accuracy(name) for name in names])) if names else None

    def mean_interval(self, kind: str | None = None) -> tuple[float, float] | None:
        """95 % interval of `mean_accuracy` over the draw of images, by Student's t.

        All cells hold the same images, so an image counts once, with the share of its corrupted
        copies that is right. None where nothing is measured, or one image alone.
        """
        names = self.names(kind)
        if not names:
            return None
        shares = np.mean([self.right[name].mean(axis=0) for name in names], axis=0)
        _, low, high = metrics.mean_interval(shares.tolist(), within=(0, 1))
        return None if low is None or high is None else (low, high)

    def to_json(self) -> dict[str, Any]:
        """Every figure as JSON-ready values; this is what ``robustness.json`` holds."""
        means = {kind: self.mean_accuracy(kind) for kind in KINDS if self.names(kind)}
        interval = self.mean_interval()
        return {
            "split": self.split,
            "n": self.n,
            "images_in_split": self.images_in_split,
            "seed": self.seed,
            "severities": list(self.severities),
            "clean": _cell(self.clean),
            "mean_corruption_accuracy": self.mean_accuracy(),
            "mean_corruption_accuracy_ci95": list(interval) if interval else None,
            "mean_accuracy_by_kind": means,
            "corruptions": {name: self._row(name) for name in self.right},
            "test_looks": self.test_looks,
            "seconds": self.seconds,
        }

    def _row(self, name: str) -> dict[str, Any]:
        cells = {str(s): _cell(r) for s, r in zip(self.severities, self.right[name], strict=True)}
        kind = CORRUPTIONS[name].kind
        return {"kind": kind, "mean_accuracy": self.accuracy(name), "by_severity": cells}


def measure_robustness(
    run: Run | str | Path,
    *,
    data: Dataset | str | Path | None = None,
    split: Literal["val", "test", "train"] = "val",
    limit: int | None = LIMIT,
    severities: Sequence[int] = SEVERITIES,
    names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Robustness:
    """Measure a run's model on corrupted images, and keep the table in the run.

    The table goes into ``robustness.json``. On the test split the whole of it is one look, counted
    as `evaluate` counts.

    Args:
        run: a finished run.
        data: another dataset with the same class names, or where the run's own is now.
        split: which images.
        limit: at most that many images, drawn at random; None for all.
        severities: which of 1 to 5.
        names: which corruptions; all by default.
        seed: of the draw and of the corruptions, 0 to 2**64 - 1.
        progress: called with (tables done, tables in all, name of the next corruption).

    Raises:
        UsageError: a name, severity or limit that there is not; nothing has been opened then.
        RunError: the run is unfinished or damaged, or the data at its source has changed.
        DataError: the data cannot be read, or lacks the split.

    Example:
        >>> import cifarlab
        >>> run = cifarlab.train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> found = measure_robustness(run, names=["fog", "shift"], severities=[3], limit=20)
        >>> found.n, sorted(found.right), found.test_looks
        (20, ['fog', 'shift'], 0)
    """
    run = run if isinstance(run, Run) else Run(run)
    chosen = [get_corruption(name).name for name in dict.fromkeys(names or corruption_names())]
    levels = _checked_options(severities, limit)
    call = forward(run.load_model())
    opened = open_split(run, split, data)
    index = draw(len(opened.labels), limit, seed)
    images, labels = opened.images[index], opened.labels[index]
    began = time.perf_counter()
    clean, table = _right(call, images, labels), {}
    for done, name in enumerate(chosen):
        if progress:
            progress(done, len(chosen), name)
        copies = (corrupt(images, name, level, seed) for level in levels)
        table[name] = np.stack([_right(call, each, labels) for each in copies])
    seconds = time.perf_counter() - began
    found = Robustness(
        *(split, levels, clean, table, len(opened.labels), seed, opened.test_looks, seconds),
        own=opened.own,
    )
    if found.own:
        write_json(run.path / FILE, found.to_json())
    return found


def draw(count: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """Which of `count` images to take, ascending: all, or `limit` drawn at random.

    Example:
        >>> draw(10, 3, seed=0).tolist() == draw(10, 3, seed=0).tolist(), len(draw(10, None, 0))
        (True, 10)
    """
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(count)
    return np.sort(order[:limit])


def _right(call: Callable, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Bools:
    return predict_logits(call, images).argmax(axis=1) == labels


def _checked_options(severities: Sequence[int], limit: int | None) -> tuple[int, ...]:
    if limit is not None and limit < 1:
        raise UsageError(f"limit is at least 1 image, or None for all. Received: {limit}")
    levels = tuple(sorted(set(severities)))
    if not levels or not set(levels) <= set(SEVERITIES):
        raise UsageError(f"severities are among 1, 2, 3, 4, 5. Received: {list(severities)}")
    return levels


def _cell(right: Bools) -> dict[str, Any]:
    interval = metrics.wilson_interval(int(right.sum()), len(right))
    return {"accuracy": float(right.mean()), "accuracy_ci95": list(interval)}
