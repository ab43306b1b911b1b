"""What the models of a rung answer: trained where they are not yet, measured once, and kept.

    runs/<rung>-seed<n>/                 run folders
    answers/<rung>-seed<n>-<split>.npz   what each answered, a file that `compare` reads too

A rung of kind ``views`` has no runs of its own: it looks at the split again with those of the rung
below, which the runs count.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifarlab.answers import Answers, read_answers
from cifarlab.data import Dataset
from cifarlab.engine import Display
from cifarlab.errors import DataError
from cifarlab.evaluate import evaluate
from cifarlab.files import replacing
from cifarlab.ladder.rungs import Rung
from cifarlab.metrics import softmax
from cifarlab.resumable import train_to_end, weights_digest
from cifarlab.run import Run

Displays = Callable[[], AbstractContextManager[Display | None]]


@dataclass(frozen=True)
class Site:
    """Where a ladder stands and what on.

    Attributes:
        data: trained and measured on.
        split: measured on, ``"test"`` or ``"val"``.
        folder: of its runs and answers.
        displays: makes what is told how a training goes.
        taken: name of a rung that trains nothing to that of the one whose runs it has.
    """

    data: Dataset
    split: str
    folder: Path
    displays: Displays
    taken: Mapping[str, str]

    def run(self, rung: Rung, seed: int) -> Path:
        """The run folder of a rung, or of the one below whose runs it takes."""
        return self.folder / "runs" / f"{self.taken.get(rung.name, rung.name)}-seed{seed}"

    def answers(self, rung: Rung, seed: int) -> Path:
        """The file of a rung's answers."""
        return self.folder / "answers" / f"{rung.name}-seed{seed}-{self.split}.npz"


def answer(site: Site, rung: Rung, seed: int) -> Path:
    """Train what is not trained yet, measure what is not measured yet; the file of the answers.

    Raises:
        RunError: a run in the folder is of another recipe, seed or dataset, or is damaged.
    """
    if rung.name in site.taken:
        run = Run(site.run(rung, seed))
    else:
        with site.displays() as display:
            run = train_to_end(site.data, rung.recipe, seed, site.run(rung, seed), display=display)
    path, weights = site.answers(rung, seed), weights_digest(run)
    if not _answered_by(path, weights):
        _measure(run, site, rung.recipe.tta)
        kept = run.predictions(site.split)
        arrays = {name: kept[name] for name in ("logits", "labels", "temperature")}
        _keep(path, site.data.class_names, **arrays, weights=np.array(weights))
    return path


def together(site: Site, rung: Rung, members: list[Answers]) -> Path:
    """The mean of what several models answer, in probabilities; the file of these answers."""
    path = site.folder / "answers" / f"{rung.name}-of-{len(members)}-{site.split}.npz"
    shares = [softmax(m.logits / m.temperature) for m in members if m.logits is not None]
    logits = np.log(np.maximum(np.mean(shares, axis=0), np.finfo("float32").tiny))
    _keep(
        path,
        site.data.class_names,
        logits=logits.astype("float32"),
        labels=np.asarray(members[0].labels),
    )
    return path


def read(site: Site, path: Path) -> Answers:
    """The answers that `answer` or `together` kept."""
    return read_answers(path, site.split, site.data.class_names)


def _measure(run: Run, site: Site, tta: str) -> None:
    """Evaluate `run` unless it already was, just so, when the ladder was stopped."""
    result = run.result
    if site.split != "test" or (result.get("split"), result.get("tta")) != ("test", tta):
        evaluate(run, data=site.data, split=site.split, tta=tta)  # type: ignore[arg-type]


def _answered_by(path: Path, weights: str) -> bool:
    """Whether the file is there and of these weights: a run may have been removed and made anew."""
    if not path.exists():
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file["weights"]) == weights
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}); remove it to measure again") from error


def _keep(path: Path, class_names: tuple[str, ...], **arrays: np.ndarray) -> None:
    with replacing(path) as file:
        names = np.array(class_names)
        np.savez_compressed(file, allow_pickle=False, class_names=names, **arrays)
