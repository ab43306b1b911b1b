"""Two contestants on the same images: the tests, what flipped, and one sentence that says it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab import metrics
from cifarlab.compare.contestants import Contestant

LEVEL = 0.05  # of significance, over all pairs together


@dataclass(frozen=True, eq=False)
class Pair:
    """What B and A, the first contestant, differ by on the same N images.

    Attributes:
        a, b: the contestants; differences are B's less A's.
        labels: int64 (N,).
        pairs: how many count as tested at once.
        p_holm: of McNemar's test, adjusted for that; None over seeds.
    """

    a: Contestant
    b: Contestant
    labels: NDArray[np.int64]
    pairs: int = 1
    p_holm: float | None = None

    @property
    def seeds(self) -> bool:
        """Whether recipes are compared by several seeds each, rather than two models."""
        return self.a.several and self.b.several

    @cached_property
    def test(self) -> metrics.McNemar:
        """McNemar's exact test of two models."""
        return metrics.mcnemar(self.labels, self.a.predictions[0], self.b.predictions[0])

    @cached_property
    def interval(self) -> tuple[float, float, float]:
        """Difference of the accuracies, low, high.

        Of two models by the paired bootstrap, at 95 %. Over seeds Welch's, of the means, at 95 %
        for all pairs together (Bonferroni's level), since it is what decides there.
        """
        if self.seeds:
            return metrics.welch_interval(self.a.accuracies, self.b.accuracies, self.confidence)
        return metrics.paired_bootstrap(self.labels, self.a.predictions[0], self.b.predictions[0])

    @property
    def confidence(self) -> float:
        """At which `interval` holds: 0.95, or over seeds what makes 0.95 for all pairs together."""
        return 1 - LEVEL / self.pairs if self.seeds else 1 - LEVEL

    @property
    def different(self) -> bool:
        """Whether the data tell them apart, at 5 % over all pairs together."""
        if self.seeds:
            _, low, high = self.interval
            return not self.without_spread and (low > 0 or high < 0)
        return (self.test.p_value if self.p_holm is None else self.p_holm) <= LEVEL

    @property
    def without_spread(self) -> bool:
        """Whether all runs of each are equally accurate: nothing says how far others may lie."""
        return self.seeds and all(len(set(each.accuracies)) == 1 for each in (self.a, self.b))

    @property
    def only_a(self) -> NDArray[np.int64]:
        """Images, ascending, that A has right and B wrong; over seeds most of each."""
        return np.flatnonzero((self.a.share_right > 0.5) & (self.b.share_right < 0.5))

    @property
    def only_b(self) -> NDArray[np.int64]:
        """Images, ascending, that B has right and A wrong; over seeds most of each."""
        return np.flatnonzero((self.b.share_right > 0.5) & (self.a.share_right < 0.5))

    @property
    def agreement(self) -> float:
        """How often a member of A and one of B give an image the same class."""
        answers_a, answers_b = self.a.predictions[:, None], self.b.predictions[None]
        return float((answers_a == answers_b).mean())

    def sentence(self, split: str) -> str:
        """In plain words whether they differ, by how much, and how sure that is."""
        difference, low, high = self.interval
        ahead, behind = self.b, self.a
        if difference < 0:
            ahead, behind = behind, ahead
            difference, low, high = -difference, -high, -low
        images = f"{len(self.labels):,} {split} images"
        if self.agreement == 1:
            return f"{self.a.name} and {self.b.name} answer all {images} alike."
        bounds = f"95 % interval {100 * low:.2f} to {100 * high:.2f}"
        if not self.seeds:
            bounds += f"; McNemar's exact p {p_text(self.test.p_value)}"
            if self.p_holm is not None:
                bounds += f", by Holm {p_text(self.p_holm).removeprefix('= ')}"
        else:
            members = f"{len(self.b.members)} and {len(self.a.members)} runs"
            bounds += f", Welch, {members}"
            bounds += f", for all {self.pairs} pairs together" if self.pairs > 1 else ""
        if self.without_spread:
            bounds = "all runs of each are equally accurate, which leaves other seeds open"
        gap = f"{100 * difference:.2f} points"
        if self.different:
            return f"{ahead.name} is better than {behind.name} on {images}, by {gap} ({bounds})."
        leads = f"{ahead.name} is {gap} ahead" if difference else "both have as many right"
        return f"{images} cannot tell {self.b.name} from {self.a.name}: {leads} ({bounds})."

    def to_json(self, split: str) -> dict[str, Any]:
        """The test, the difference and what flipped, as JSON-ready values."""
        difference, low, high = self.interval
        found: dict[str, Any] = {
            "a": self.a.name,
            "b": self.b.name,
            "sentence": self.sentence(split),
            "different": self.different,
            "difference": difference,
            "interval": [low, high],
            "confidence": self.confidence,
            "agreement": self.agreement,
            "only_a": self.only_a.tolist(),
            "only_b": self.only_b.tolist(),
        }
        if self.seeds:
            return found | {"method": "welch"}
        return found | {
            "method": "mcnemar",
            "p_value": self.test.p_value,
            "p_holm": self.p_holm if self.p_holm is not None else self.test.p_value,
            "per_class": self.classes,
            "loss_difference": self.loss_difference,
        }

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """`metrics.class_differences` of two models."""
        answers = self.a.predictions[0], self.b.predictions[0]
        return metrics.class_differences(self.labels, *answers, self.a.class_names)

    @property
    def loss_difference(self) -> list[float | None] | None:
        """B's log loss less A's, low, high (Student's t over the images); None without logits."""
        losses = []
        for member in (self.a.members[0], self.b.members[0]):
            if member.logits is None:
                return None
            losses.append(metrics.log_losses(member.logits / member.temperature, self.labels))
        return list(metrics.mean_interval((losses[1] - losses[0]).tolist()))


def against_first(
    contestants: list[Contestant], labels: NDArray[np.int64], *, first_is_best: bool = False
) -> list[Pair]:
    """Each contestant after the first against it; p-values by Holm over the pairs.

    Args:
        contestants: two or more.
        labels: int64 (N,).
        first_is_best: whether the first stands there for its accuracy on these images. Any other
            could have, and of many equals the luckiest does: all pairs then count as tested.

    Example:
        >>> from pathlib import Path
        >>> from cifarlab.answers import Answers
        >>> labels, answers = np.zeros(8, int), (np.zeros(8, int), np.ones(8, int))
        >>> a, b = (
        ...     Contestant(name, (Answers(name, Path(name), given, labels),), ("cat", "dog"))
        ...     for name, given in zip("ab", answers, strict=True)
        ... )
        >>> (pair,) = against_first([a, b], labels)
        >>> pair.test.p_value, pair.different, len(pair.only_a)
        (0.0078125, True, 8)
    """
    first, *others = contestants
    # Those of the first come first.
    tested = [*combinations(contestants, 2)] if first_is_best else [(first, b) for b in others]
    pairs = [Pair(first, other, labels, len(tested)) for other in others]
    if len(pairs) == 1 or any(pair.seeds for pair in pairs):
        return pairs
    adjusted = metrics.holm([Pair(a, b, labels).test.p_value for a, b in tested]).tolist()
    return [replace(pair, p_holm=p) for pair, p in zip(pairs, adjusted, strict=False)]


def p_text(value: float) -> str:
    """A p-value as a sentence has it: ``= 0.031``, or ``< 0.0001``.

    Example:
        >>> p_text(0.03125), p_text(1e-9)
        ('= 0.031', '< 0.0001')
    """
    return f"= {value:.2g}" if value >= 0.0001 else "< 0.0001"
