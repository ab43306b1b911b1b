"""Is the data sound? Copies within and across splits, labels that are probably wrong, outliers,
uneven classes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.audit.alignment import thumbnails
from cifarlab.audit.duplicates import find_duplicates
from cifarlab.audit.findings import SHEETS, Catalogue, Finding, draw_sheets, write_csv
from cifarlab.audit.labels import confident_suspects, cross_validated_probabilities
from cifarlab.audit.outliers import FAR, imbalance, outlier_scores
from cifarlab.data import Dataset, Split
from cifarlab.engine import forward, predict_logits
from cifarlab.errors import UsageError
from cifarlab.evaluate import count_look
from cifarlab.files import write_json
from cifarlab.metrics import softmax, wilson_interval
from cifarlab.models.features import with_features
from cifarlab.prepare import find_data
from cifarlab.run import Run

__all__ = ["Audit", "Finding", "audit"]

KEPT = 100  # findings of each kind in audit.json; the CSV file has them all
LOOK = "audit: the images were compared with the others for copies; no label was read"


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes:
        images: split to number of images.
        findings: every one, the surest of each kind first.
        counts: ``leak`` (pairs across splits) and ``duplicate`` (within one), ``exact`` among
            both, ``conflicting`` (copies whose known labels differ), ``label`` and ``outlier``.
        leaked: indices of test images that have a copy among the other splits.
        accuracy: of the run on test as evaluated before, ``all`` and ``without_leaked``, each with
            ``n``, ``accuracy`` and ``accuracy_ci95``; None where it has not been.
        balance: split to what `cifarlab.audit.outliers.imbalance` says of it.
        test_look: what this audit saw of the run's own test split, None if nothing.
        seconds: wall time of each part.
        files: written.

    Example:
        >>> Audit({"train": 2}, (), {"leak": 0}, (), None, {}, None, {}).to_json()["counts"]
        {'leak': 0}
    """

    images: dict[str, int]
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    leaked: tuple[int, ...]
    accuracy: dict[str, Any] | None
    balance: dict[str, Any]
    test_look: str | None
    seconds: dict[str, float]
    files: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As plain values, with the first `KEPT` findings of each kind."""
        first: dict[str, list[dict[str, Any]]] = {}
        for finding in self.findings:
            some = first.setdefault(finding.kind, [])
            if len(some) < KEPT:
                some.append(asdict(finding))
        parts = ("images", "counts", "accuracy", "balance", "test_look", "seconds")
        values: dict[str, Any] = {name: getattr(self, name) for name in parts}
        return {**values, "leaked": list(self.leaked), "findings": first, "files": [*self.files]}


def audit(
    run: Run | str | Path,
    *,
    data: Dataset | str | Path | None = None,
    out: str | Path | None = None,
    folds: int = 5,
) -> Audit:
    """Look for faults in the data that a run was trained on, with the help of its model.

    The images of every split are compared with each other. Labels of train (and of an official
    validation split) are examined; those of test only where `evaluate` has opened them before. A
    comparison of the run's own test images is a look at test and counted in result.json, with
    a note of what it was.

    Args:
        run: a finished run.
        data: another dataset with the same classes, or where the run's own is now.
        out: folder for ``findings.csv`` and the contact sheets; ``audit`` in the run's by default,
            and for another dataset ``audit-other``, where its ``audit.json`` goes too: the run's
            own folder has that of its own data.
        folds: of the cross-validation that gives train its out-of-sample probabilities.

    Raises:
        RunError: the run is unfinished or damaged, or its data has changed.
        DataError: the data cannot be read, or has other classes.
        UsageError: `folds` is below 2 or above the number of images.

    Example:
        >>> import cifarlab
        >>> digits = cifarlab.load_dataset("digits", image_size=16)
        >>> few = digits.train.select(range(60))
        >>> data = Dataset(name="few", source="", class_names=digits.class_names, train=few)
        >>> run = cifarlab.train(data, "debug", epochs=1, out=tmp_path / "run")
        >>> found = audit(run, data=data)
        >>> found.images, found.counts["exact"]
        ({'train': 60}, 0)
    """
    run = run if isinstance(run, Run) else Run(run)
    clock = _Clock()
    seen = _look(run, data, folds)
    clock.stop("features")
    findings = _copies(seen)
    clock.stop("duplicates")
    findings += _suspects(seen, folds)
    clock.stop("labels")
    findings += _outliers(seen)
    clock.stop("outliers")
    leaked = sorted({f.index for f in findings if f.kind == "leak" and f.split == "test"})
    found = Audit(
        images={name: len(split) for name, split in seen.splits.items()},
        findings=tuple(findings),
        counts=_counts(findings),
        leaked=tuple(leaked),
        accuracy=_accuracy(seen, leaked),
        balance={n: imbalance(y, seen.dataset.class_names) for n, y in seen.labels.items()},
        test_look=LOOK if seen.own and "test" in seen.splits else None,
        seconds=clock.seconds,
    )
    default = run.path / ("audit" if seen.own else "audit-other")
    return _write(found, run, seen, Path(out) if out else default)


@dataclass(frozen=True, eq=False)
class _Seen:
    """Images, what the model makes of them, and the labels that may be known."""

    dataset: Dataset
    own: bool
    splits: dict[str, Split]
    features: dict[str, np.ndarray]
    logits: dict[str, np.ndarray]
    temperature: float  # by which to divide them
    labels: dict[str, np.ndarray]
    evaluated: np.ndarray | None  # logits on test, of the evaluation that opened its labels

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.splits, self.labels, self.dataset.class_names)


class _Clock:
    """Seconds from one stop to the next."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, part: str) -> None:
        now = time.perf_counter()
        self.seconds[part], self._last = round(now - self._last, 2), now


def _look(run: Run, data: Dataset | str | Path | None, folds: int) -> _Seen:
    """Open the images and run the model on them; a look at the run's own test is counted first."""
    call = forward(with_features(run.load_model()))
    temperature = run.calibration("none")["temperature"]  # no views are averaged here
    dataset = find_data(run, data)
    if not 2 <= folds <= len(dataset.train):
        raise UsageError(f"folds must be 2 to the {len(dataset.train)} images. Received: {folds}")
    own = dataset.fingerprint == run.data["fingerprint"]
    splits = {"train": dataset.train}
    if dataset.validation is not None:
        splits["val"] = dataset.validation
    labels = {name: split.labels for name, split in splits.items()}
    evaluated = None
    if dataset.has_test:
        if own:
            count_look(run, LOOK)
        splits["test"] = dataset.open_test()
        if own and (run.path / "predictions-test.npz").exists():
            known = run.predictions("test")
            labels["test"], evaluated = known["labels"], known["logits"]
    both = {name: predict_logits(call, split.images) for name, split in splits.items()}
    features = {name: part[:, : -dataset.num_classes] for name, part in both.items()}
    logits = {name: part[:, -dataset.num_classes :] for name, part in both.items()}
    return _Seen(dataset, own, splits, features, logits, temperature, labels, evaluated)


def _copies(seen: _Seen) -> list[Finding]:
    """Pairs of copies among the images of all splits; labels that stay closed are -1."""
    images = [split.images for split in seen.splits.values()]
    features = [seen.features[name] for name in seen.splits]
    labels = [seen.labels.get(n, np.full(len(split), -1)) for n, split in seen.splits.items()]
    pairs = find_duplicates(*map(np.concatenate, (images, features, labels)))
    return seen.catalogue.copies(pairs)


def _suspects(seen: _Seen, folds: int) -> list[Finding]:
    """Labels that are probably wrong. The model was fitted to train's labels, so there a linear
    classifier of its features is cross-validated; elsewhere its own calibrated probabilities serve.
    """
    found = []
    for name, labels in seen.labels.items():
        if name == "train":
            classes = seen.dataset.num_classes
            p = cross_validated_probabilities(_views(seen), labels, classes, folds)
        else:
            p = softmax(seen.logits[name] / seen.temperature)
        suspects = confident_suspects(p, labels)
        found += seen.catalogue.single(
            "label", name, suspects.index, suspects.margin, suspects.suggested
        )
    return found


def _views(seen: _Seen) -> list[np.ndarray]:
    """Train's features, and those beside the thumbnails of its images, which help where the model
    is poor; each part of mean square 1."""
    parts = (seen.features["train"], thumbnails(seen.splits["train"].images))
    even = [part / max(float(np.sqrt(np.mean(part**2))), 1e-6) for part in parts]
    return [even[0], np.concatenate(even, axis=1)]


def _outliers(seen: _Seen) -> list[Finding]:
    found = []
    for name, labels in seen.labels.items():
        scores = outlier_scores(seen.features[name], labels)
        far = np.flatnonzero(scores > FAR)
        far = far[np.argsort(-scores[far], kind="stable")]
        found += seen.catalogue.single("outlier", name, far, scores[far])
    return found


def _counts(findings: list[Finding]) -> dict[str, int]:
    counts = {kind: sum(f.kind == kind for f in findings) for kind in SHEETS}
    counts["exact"] = sum(bool(f.exact) for f in findings)
    known = [f for f in findings if f.given is not None and f.other_given is not None]
    return {**counts, "conflicting": sum(f.given != f.other_given for f in known)}


def _accuracy(seen: _Seen, leaked: list[int]) -> dict[str, Any] | None:
    """Of the run on test, and on what is left of it without the leaked images."""
    if seen.evaluated is None:
        return None
    right = seen.evaluated.argmax(axis=1) == seen.labels["test"]
    parts = {"all": right, "without_leaked": np.delete(right, leaked)}
    return {
        name: {
            "n": len(part),
            "accuracy": float(part.mean()),
            "accuracy_ci95": list(wilson_interval(int(part.sum()), len(part))),
        }
        for name, part in parts.items()
        if len(part)
    }


def _write(found: Audit, run: Run, seen: _Seen, out: Path) -> Audit:
    table = out / "findings.csv"
    write_csv(table, found.findings)
    sheets = draw_sheets(out, found.findings, seen.splits)
    found = replace(found, files=(str(table), *sheets))
    write_json((run.path if seen.own else out) / "audit.json", found.to_json())
    return found
