"""Which images of an evaluated split stay in the run, for its report to show without the data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHOWN = 24  # images drawn at random, and as many of the worst mistakes
CELL = 6  # images of each kind of mistake: of each cell beside the confusion matrix's diagonal
CELL_BYTES = 4 * 2**20  # of pixels in all cells together: large images get fewer
CELL_IMAGES = 1200  # in all cells together: many classes get fewer


def choose_shown(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    confidence: NDArray[np.floating],
    seed: int,
    image_bytes: int = 3072,
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Images to keep, and what for.

    Args:
        labels: int (N,).
        predictions: int (N,).
        confidence: the probability of each prediction, (N,).
        seed: of the random ones.
        image_bytes: of one image, which decides how many there is room for.

    Returns:
        index int64 (K,) and kind (K,): ``"random"``; ``"worst"``, wrong with the highest
        probability first; ``"cell"``, the worst few of each kind of mistake: of every kind the
        first, the most frequent kinds before the rare ones, then of every kind the second, and so
        on while there is room. An image may be there under several kinds.

    Example:
        >>> index, kind = choose_shown(np.array([1, 1]), np.array([0, 1]), np.array([0.9, 0.8]), 0)
        >>> sorted(zip(kind.tolist(), index.tolist()))
        [('cell', 0), ('random', 0), ('random', 1), ('worst', 0)]
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    random = generator.permutation(len(labels))[:SHOWN]
    wrong = np.flatnonzero(predictions != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    cells = _of_each_cell(labels[wrong] * (predictions.max() + 1) + predictions[wrong])
    room = min(CELL_IMAGES, CELL_BYTES // image_bytes)
    chosen = {"random": random, "worst": wrong[:SHOWN], "cell": wrong[cells[:room]]}
    kind = np.repeat(list(chosen), [len(some) for some in chosen.values()])
    return np.concatenate(list(chosen.values())), kind


def _of_each_cell(cell: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in `cell` (M,): the first of each cell, then the second of each, up to `CELL`.

    Example:
        >>> _of_each_cell(np.array([7, 3, 3, 3])).tolist()
        [1, 0, 2, 3]
    """
    _, inverse, counts = np.unique(cell, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")  # cell by cell, each in the order given
    first = np.cumsum(counts) - counts
    rank = np.empty(len(cell), np.int64)
    rank[order] = np.arange(len(cell)) - np.repeat(first, counts)
    places = np.lexsort((np.arange(len(cell)), -counts[inverse], rank))
    return places[rank[places] < CELL]
