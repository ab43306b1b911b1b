"""Who is compared: one model, or several seeds of one recipe, with what each is worth and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics
from cifarlab.answers import Answers
from cifarlab.run import Run

FIGURES = ("accuracy", "accuracy_ci95", "loss", "ece")


@dataclass(frozen=True, eq=False)
class Contestant:
    """One model, or several seeds of one recipe.

    Attributes:
        name: no other contestant has it.
        members: one or more, all with labels, of the same images.
        class_names: C names.

    Example:
        >>> from pathlib import Path
        >>> labels = np.array([0, 0, 1])
        >>> first = Answers("one", Path("one"), np.array([0, 0, 0]), labels)
        >>> second = Answers("two", Path("two"), np.array([0, 0, 1]), labels)
        >>> both = Contestant("both", (first, second), ("cat", "dog"))
        >>> [round(value, 3) for value in both.accuracies], both.share_right.tolist()
        ([0.667, 1.0], [1.0, 1.0, 0.5])
        >>> both.to_json()["images_by_runs_right"]  # none has 0 runs right, one has 1, two have 2
        [0, 1, 2]
    """

    name: str
    members: tuple[Answers, ...]
    class_names: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether there are several seeds."""
        return len(self.members) > 1

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """The classes that each member answers, int64 (S, N)."""
        return np.stack([member.predictions for member in self.members])

    @cached_property
    def runs_right(self) -> NDArray[np.int64]:
        """How many of the members have each image right, int64 (N,)."""
        return np.sum([member.right for member in self.members], axis=0, dtype=np.int64)

    @property
    def share_right(self) -> NDArray[np.float64]:
        """The share of the members that has each image right, float64 (N,)."""
        return self.runs_right / len(self.members)

    @cached_property
    def agreement(self) -> NDArray[np.float64]:
        """`metrics.agreement` of several seeds: a share for each image, float64 (N,)."""
        return metrics.agreement(self.predictions)

    @property
    def accuracies(self) -> list[float]:
        """Of each member, (S,)."""
        return [float(member.right.mean()) for member in self.members]

    @property
    def accuracy(self) -> float:
        """The member's, or the mean of them."""
        return float(np.mean(self.accuracies))

    def to_json(self) -> dict[str, Any]:
        """Accuracy and certainty, and what each member cost; over seeds the mean and the spread."""
        found: dict[str, Any] = {"name": self.name, "members": [*map(self._member, self.members)]}
        if self.several:
            mean, low, high = metrics.mean_interval(self.accuracies, within=(0, 1))
            found |= {
                "accuracy_mean": mean,
                "accuracy_mean_ci95": [low, high],
                "accuracy_spread": metrics.spread(self.accuracies),
                "agreement": float(self.agreement.mean()),
                "disputed": int((self.agreement < 1).sum()),
                "images_by_runs_right": np.bincount(
                    self.runs_right, minlength=len(self.members) + 1
                ).tolist(),
            }
        return found

    def _member(self, answers: Answers) -> dict[str, Any]:
        figures = answers.figures(answers.labels, self.class_names)  # type: ignore[arg-type]
        certainty = {key: figures.get(key) for key in FIGURES}
        return {"name": answers.name, "source": str(answers.source), **certainty} | {
            "temperature": answers.temperature if answers.logits is not None else None,
            **cost(answers.run),
            **({"tta": answers.tta} if answers.tta is not None else {}),
        }


def cost(run: Run | None) -> dict[str, Any]:
    """What a run cost and what its answers cost: None of what is not recorded, or of no run.

    Returns:
        ``recipe``, ``seed``, ``parameters``, ``train_seconds``, and ``images_per_second`` of its
        last evaluation on test, over the views of its ``tta``.
    """
    result = run.result if run is not None else {}
    seconds = result.get("seconds") or {}
    n, spent = result.get("n"), seconds.get("evaluate")
    return {
        "recipe": result.get("recipe"),
        "seed": result.get("seed"),
        "parameters": result.get("parameters"),
        "train_seconds": seconds.get("train"),
        "images_per_second": n / spent if n and spent else None,
        "tta": result.get("tta"),
    }


def named(groups: Sequence[Sequence[Answers]]) -> list[str]:
    """A name for each: the run's, the file's, over seeds the recipe's; paths where those clash.

    Example:
        >>> from pathlib import Path
        >>> a, b = (Answers("run", Path(p), np.array([0])) for p in ("a/run", "b/run"))
        >>> [Path(name).as_posix() for name in named([[a], [b]])]
        ['a/run', 'b/run']
    """
    names = [_short(group) for group in groups]
    return [
        name if names.count(name) == 1 else " + ".join(str(member.source) for member in group)
        for name, group in zip(names, groups, strict=True)
    ]


def _short(group: Sequence[Answers]) -> str:
    if len(group) == 1:
        return group[0].name
    recipes = {member.run.result.get("recipe") if member.run else None for member in group}
    recipe = recipes.pop()
    if recipes or recipe is None:
        return " + ".join(member.name for member in group)
    return f"{recipe} ({len(group)} runs)"
