"""Labels that are probably wrong: confident learning over out-of-sample probabilities.

Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
arXiv:1911.00068. A model that has not been fitted to an image's label contradicts it with
confidence; how much confidence that takes is measured for each class, so that a class in which the
model is never sure is not suspected as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifarlab.data.holdout import random_keys
from cifarlab.errors import DataError, UsageError

PENALTIES = (1e-3, 1e-2, 1e-1)  # of the ridge, as shares of the mean squared feature
_TEMPERATURES = np.geomspace(0.02, 1.0, 30)  # of one-hot regression's scores, which lie in [0, 1]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that are probably wrong, the surest first.

    Attributes:
        index: rows, int64 (K,).
        suggested: the class that is more probable, int64 (K,).
        margin: its probability less that of the given label, in (0, 1], float64 (K,).
    """

    index: NDArray[np.int64]
    suggested: NDArray[np.int64]
    margin: NDArray[np.float64]


def confident_suspects(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Suspects:
    """Rows off the diagonal of the confident joint, ranked by margin (section 3 of the paper).

    A row counts for class j if its probability of j is at least the mean of that probability over
    the rows labelled j; of several such classes the most probable one counts. It is suspected if
    that class is not its label and is more probable than it.

    Args:
        probabilities: (N, C), out of sample: of a model that was not fitted to these labels.
        labels: int (N,) in [0, C).

    Raises:
        DataError: shapes that do not fit, or a probability that is not finite.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8]])
        >>> confident_suspects(p, np.array([0, 0, 0, 1, 1])).index.tolist()
        [2]
    """
    p, rows = np.asarray(probabilities, np.float64), np.arange(len(labels))
    if p.ndim != 2 or p.shape[0] != len(labels) or not np.isfinite(p).all():
        raise DataError(f"needs finite probabilities (N, C) of {len(labels)} labels, not {p.shape}")
    counts = np.bincount(labels, minlength=p.shape[1])
    sums = np.bincount(labels, weights=p[rows, labels], minlength=p.shape[1])
    # A class that no row has sets no bar; nothing is suspected to belong to it.
    bars = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(p >= bars, p, -1.0)
    suggested = confident.argmax(axis=1)
    margin = p[rows, suggested] - p[rows, labels]
    suspected = (confident.max(axis=1) >= 0) & (suggested != labels) & (margin > 0)
    found = np.flatnonzero(suspected)
    found = found[np.argsort(-margin[found], kind="stable")]
    return Suspects(found, suggested[found].astype(np.int64), margin[found])


def cross_validated_probabilities(
    views: Sequence[NDArray[np.floating]], labels: NDArray[np.int64], num_classes: int, folds: int
) -> NDArray[np.float64]:
    """Probabilities (N, C) of each row by a linear classifier that was fitted to the other folds.

    Ridge regression onto one-hot labels in closed form: one product of the features with themselves
    a fold. A temperature, one for all, makes its scores probabilities. View, penalty and
    temperature are those of the lowest log loss on the held-out rows.

    Args:
        views: features, (N, D) each, of which the best are taken.
        labels: int (N,).
        folds: 2 or more; rows are dealt to them at random within each class, the same each time.

    Raises:
        UsageError: fewer than two folds, or more than rows.

    Example:
        >>> x = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
        >>> p = cross_validated_probabilities([x], np.repeat([0, 1], 10), 2, folds=5)
        >>> bool(p[0, 0] > 0.9), bool(p[-1, 1] > 0.9)
        (True, True)
    """
    if not 2 <= folds <= len(labels):
        raise UsageError(f"folds must be 2 to the {len(labels)} images. Received: {folds}")
    fold = deal(labels, folds)
    tried = [
        _probabilities(scores, labels)
        for view in views
        for scores in _held_out_scores(view, np.eye(num_classes)[labels], fold)
    ]
    return min(tried, key=lambda each: each[0])[1]


def _held_out_scores(
    view: NDArray[np.floating], targets: NDArray[np.float64], fold: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Scores (N, C) of each row by a regression on the rows of other folds, for each penalty."""
    x = np.asarray(view, np.float64)
    x = np.column_stack([x - x.mean(axis=0), np.ones(len(x))])
    parts = [(x[fold == k], targets[fold == k]) for k in range(fold.max() + 1)]
    grams = [(a.T @ a, a.T @ b) for a, b in parts]
    gram, moments = (np.sum(each, axis=0) for each in zip(*grams, strict=True))
    for penalty in PENALTIES:
        ridge = np.eye(len(gram)) * max(penalty * np.trace(gram) / len(gram), 1e-12)
        scores = np.empty_like(targets)
        for k, (own_gram, own_moments) in enumerate(grams):
            weights = np.linalg.solve(gram - own_gram + ridge, moments - own_moments)
            scores[fold == k] = parts[k][0] @ weights
        yield scores


def deal(labels: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """The fold of each row, int64 (N,): even in every class, random, and the same each time.

    Example:
        >>> sorted(deal(np.array([0, 0, 0, 0, 1, 1]), 2).tolist())
        [0, 0, 0, 1, 1, 1]
    """
    order = np.lexsort((random_keys(len(labels), seed=0), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % folds
    return fold


def _probabilities(
    scores: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """The lowest log loss of scores (N, C) at any temperature, and their softmax at that."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    given = shifted[np.arange(len(labels)), labels]

    def loss(temperature: float) -> float:
        log_sums = np.log(np.exp(shifted / temperature).sum(axis=1))
        return float(np.mean(log_sums - given / temperature))

    lowest, best = min((loss(temperature), temperature) for temperature in _TEMPERATURES)
    exponential = np.exp(shifted / best)
    return lowest, exponential / exponential.sum(axis=1, keepdims=True)
