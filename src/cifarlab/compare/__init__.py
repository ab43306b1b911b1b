"""Is B really better than A? Runs and published predictions on the same images.

    contestants.py  who is compared, what each is worth and costs
    pairs.py        two of them: tests, what flipped, one sentence
    flips.py        the images that flipped: a table and pictures
    tables.py       for each image, in how many runs it was right
    curves.py       learning curves in one picture
    folder.py       all that a comparison leaves in a folder

Everything is read from what was kept: no model answers, no test split is opened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.answers import Answers, read_answers
from cifarlab.compare.contestants import Contestant, cost, named
from cifarlab.compare.pairs import Pair, against_first, p_text
from cifarlab.errors import CifarlabError, DataError, UsageError
from cifarlab.run import Run

__all__ = [
    "Comparison",
    "Contestant",
    "Pair",
    "against_first",
    "compare",
    "cost",
    "named",
    "p_text",
    "same_images",
]

Source = Run | str | Path


@dataclass(frozen=True, eq=False)
class Comparison:
    """Contestants on the same images, each after the first against it.

    Attributes:
        split: ``"test"``, ``"val"`` or ``"train"``.
        class_names: C names.
        labels: int64 (N,).
        contestants: two or more, in the order given.
        pairs: one fewer.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> a = Answers("a", Path("a"), np.array([0, 0, 0, 0]), labels)
        >>> b = Answers("b", Path("b"), np.array([0, 1, 1, 1]), labels)
        >>> one, two = (Contestant(each.name, (each,), ("cat", "dog")) for each in (a, b))
        >>> pairs = tuple(against_first([one, two], labels))
        >>> found = Comparison("val", ("cat", "dog"), labels, (one, two), pairs)
        >>> found.pairs[0].only_a.tolist(), found.pairs[0].only_b.tolist()
        ([1], [2, 3])
        >>> found.to_json()["pairs"][0]["different"]
        False
    """

    split: str
    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    contestants: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def sentences(self) -> list[str]:
        """One a pair: whether the data tell them apart."""
        return [pair.sentence(self.split) for pair in self.pairs]

    @property
    def warnings(self) -> list[str]:
        """What makes the contestants unequal or the seeds fewer, whatever the tests say."""
        return [*_different_views(self.contestants), *_repeated_seeds(self.contestants)]

    def to_json(self) -> dict[str, Any]:
        """Every figure as JSON-ready values."""
        return {
            "split": self.split,
            "n": self.n,
            "warnings": self.warnings,
            "contestants": [contestant.to_json() for contestant in self.contestants],
            "pairs": [pair.to_json(self.split) for pair in self.pairs],
        }


def _different_views(contestants: Sequence[Contestant]) -> list[str]:
    members = [member for each in contestants for member in each.members]
    views = [(member.name, member.tta) for member in members if member.tta is not None]
    if len({tta for _, tta in views}) < 2:
        return []
    differ = ", ".join(f"{name} {tta}" for name, tta in views)
    warning = (
        f"the answers are means over different views ({differ}): a part of the difference may "
        "be theirs; evaluate all with the same --tta"
    )
    return [warning]


def _repeated_seeds(contestants: Sequence[Contestant]) -> list[str]:
    """A seed that several members have is one training, made again."""
    warnings = []
    for each in contestants:
        runs = [member.run for member in each.members if member.run is not None]
        trained = [(json.dumps(run.recipe), run.result.get("seed")) for run in runs]
        warnings += [
            f"{trained.count(one)} runs of {each.name} have the seed {one[1]}: made again, a "
            "training says nothing of other seeds, so the interval is too narrow"
            for one in dict.fromkeys(trained)
            if trained.count(one) > 1
        ]
    return warnings


def compare(*contestants: Source | Sequence[Source], split: str = "test") -> Comparison:
    """Set runs and published predictions for the same images beside each other.

    Args:
        contestants: two or more. Each is a run, its folder, or a file of predictions
            (docs/compare.md); or several of them, which are seeds of one recipe. Seeds are compared
            with seeds: either every contestant is several, or none.
        split: ``"test"``, ``"val"`` or ``"train"``; runs must have been evaluated on it.

    Raises:
        UsageError: fewer than two contestants, one named twice, one model against several seeds.
        RunError: a run has not been evaluated on the split (says which command does it).
        DataError: a file is unreadable, nobody knows the labels, or the images are not the same.

    Example:
        >>> _ = (tmp_path / "one.txt").write_text("0\\n0\\n0\\n")
        >>> labels = np.array([0, 0, 1])
        >>> np.savez(tmp_path / "two.npz", predictions=labels, labels=labels)
        >>> found = compare(tmp_path / "one.txt", tmp_path / "two.npz")
        >>> print(*found.sentences)
        3 test images cannot tell two.npz from one.txt: two.npz is 33.33 points ahead
        (95 % interval 0.00 to 100.00; McNemar's exact p = 1).
    """
    groups = [[each] if isinstance(each, Run | str | Path) else list(each) for each in contestants]
    _check(groups)
    runs_first = [source for group in groups for source in group]
    names = _class_names(runs_first, split)
    read = [[read_answers(source, split, names) for source in group] for group in groups]
    every = [answers for group in read for answers in group]
    labels = same_images(every, split)
    names = names or _numbered(every)
    made = [
        Contestant(name, tuple(replace(answers, labels=labels) for answers in group), names)
        for name, group in zip(named(read), read, strict=True)
    ]
    return Comparison(split, names, labels, tuple(made), tuple(against_first(made, labels)))


def same_images(every: Sequence[Answers], split: str) -> NDArray[np.int64]:
    """The labels, int64 (N,), of the images that all of `every` answered.

    Raises:
        DataError: they are of different data, of different images of it, or nobody has labels.
    """
    first, known = every[0], next((each for each in every if each.labels is not None), None)
    if known is None or known.labels is None:
        raise DataError(
            "none of these files holds labels; store them in one as .npz with predictions and "
            "labels, or name a run among them"
        )
    runs = [each for each in every if each.run is not None]
    for each in runs:
        for what, value in _images_of(each, split).items():
            if value != _images_of(runs[0], split)[what]:
                raise DataError(f"{each.source} and {runs[0].source} differ in their {what}")
    for each in every:
        if len(each.predictions) != len(known.labels):
            raise DataError(
                f"{each.source} answers {len(each.predictions):,} images, but {known.source} has "
                f"{len(known.labels):,} {split} images"
            )
        if each.labels is not None and not np.array_equal(each.labels, known.labels):
            raise DataError(
                f"{each.source} and {known.source} were asked different images: labels differ"
            )
        if None not in (each.class_names, first.class_names) and (
            each.class_names != first.class_names
        ):
            raise DataError(f"{each.source} and {first.source} have different classes")
    return known.labels


def _images_of(answers: Answers, split: str) -> dict[str, Any]:
    """What decides which images a run's split has, by what it is called."""
    data = answers.run.data if answers.run is not None else {}
    found = {"data": data.get("fingerprint"), "classes": data.get("class_names")}
    if split != "test":
        found["validation split"] = (data.get("validation_fraction"), data.get("split_seed"))
    return found


def _check(groups: Sequence[Sequence[Source]]) -> None:
    if len(groups) < 2 or not all(groups):
        raise UsageError("a comparison needs two or more: cifarlab compare A B")
    paths = [Path(source).resolve() for group in groups for source in group]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise UsageError(f"{twice} is named twice; name each once")
    if len({len(group) > 1 for group in groups}) > 1:
        raise UsageError(
            "several runs of a recipe are compared with several of another: "
            "give two or more for each, or one for each"
        )


def _class_names(sources: Sequence[Source], split: str) -> tuple[str, ...] | None:
    """From the first that names them, runs first: the names in a file are looked up in these."""
    for source in sorted(sources, key=lambda source: not Path(source).is_dir()):
        try:
            answers = read_answers(source, split)
        except DataError:
            continue  # a file that gives names, which it cannot do alone
        if answers.class_names is not None:
            return answers.class_names
    return None


def _numbered(every: Sequence[Answers]) -> tuple[str, ...]:
    """Where nobody names the classes: their numbers."""
    arrays = [array for each in every for array in (each.predictions, each.labels)]
    most = max(int(array.max()) for array in arrays if array is not None) + 1
    widths = {each.logits.shape[1] for each in every if each.logits is not None}
    if len(widths) > 1 or (widths and max(widths) < most):
        raise CifarlabError(f"logits of {sorted(widths)} classes for answers of {most}")
    return tuple(str(i) for i in range(max([most, *widths])))
