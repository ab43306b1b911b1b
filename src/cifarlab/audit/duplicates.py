"""Images that are copies of each other: exact ones, and the same photograph edited.

Candidates are the nearest neighbours by the model's features and by thumbnails, also mirrored; each
is then verified pixel by pixel (`cifarlab.audit.alignment`). The thresholds were chosen by eye on
pairs within CIFAR-10's training images; docs/audit.md says how.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifarlab.audit import alignment
from cifarlab.audit.alignment import Floats, Images
from cifarlab.data.holdout import random_keys
from cifarlab.data.repeats import repeated

NEIGHBOURS = {"features": 8, "thumbnails": 4, "mirrored": 4}  # candidates an image, of each kind
GATE = 0.58  # correlation at the coarse comparison that leads to the fine one
EVIDENCE = 14.0  # of correlation, richness and features together, that is enough
DOUBT = 5.0  # evidence below that at which more ways to align a pair are tried
FEATURE_WEIGHT = 4.0  # evidence that features which fully agree add
BACKGROUND = 2000  # random pairs of one class that say what is usual in this data
UNUSUAL = 6.0  # standard deviations above those
BLOCK, GROUP = 512, 64  # rows of similarities at a time; columns of which the highest is kept


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of duplicates, the most alike first.

    Attributes:
        first, second: rows, int64 (K,), first < second.
        similarity: correlation of the aligned details, float32 (K,); 1 for the exact ones.
        exact: bool (K,), the very same pixels.
        mirrored: bool (K,), alike once one of the two is mirrored.
        evidence: what speaks for one photograph, as `compare` weighs it, float32 (K,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: Floats
    exact: NDArray[np.bool_]
    mirrored: NDArray[np.bool_]
    evidence: Floats

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.first)


def find_duplicates(images: Images, features: Floats, labels: NDArray[np.int64]) -> Pairs:
    """Exact and near duplicates among images.

    Args:
        images: uint8 (N, S, S, 3), N >= 1.
        features: float (N, D) of a model for these images.
        labels: int (N,), -1 where unknown: random pairs of a class tell how alike images of this
            data are without being copies.

    Example:
        >>> random = np.random.default_rng(0)
        >>> images = random.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
        >>> images[7] = images[3, :, ::-1] // 2 + 60
        >>> found = find_duplicates(images, random.normal(size=(40, 8)), np.zeros(40, int))
        >>> found.first.tolist(), found.second.tolist(), found.mirrored.tolist()
        ([3], [7], [True])
    """
    white = whitened(features)
    candidates = _union(_same_pixels(images), _candidates(images, white))
    first, second = _coarsely_alike(images, candidates).T
    exact = (images[first] == images[second]).all(axis=(1, 2, 3))
    agree = np.einsum("nd,nd->n", white[first], white[second])
    similarity, mirrored, evidence = compare(images[first], images[second], agree)
    similarity[exact], mirrored[exact] = 1, False
    alike = (evidence >= EVIDENCE) & (similarity >= _usual(images, labels))
    order = np.flatnonzero(exact | alike)
    order = order[np.lexsort((second[order], first[order], -similarity[order], ~exact[order]))]
    sure = evidence[order]
    return Pairs(
        first[order], second[order], similarity[order], exact[order], mirrored[order], sure
    )


def compare(
    first: Images, second: Images, agree: Floats
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """How much pairs of images speak for being one photograph.

    Args:
        first, second: uint8 (N, S, S, 3).
        agree: dot product of their `whitened` features, (N,).

    Returns:
        ``(similarity, mirrored, evidence)``, each (N,). The evidence is Fisher's transform of the
        similarity in its own standard deviations (1 / sqrt(n) for a correlation over n points,
        here the richness of the poorer image), and `FEATURE_WEIGHT` times `agree`.
    """
    rich = np.minimum(alignment.richness(first), alignment.richness(second))

    def weigh(similarity: Floats) -> Floats:
        fisher = np.arctanh(np.clip(similarity, -0.999, 0.999))
        return np.sqrt(rich) * fisher + FEATURE_WEIGHT * agree

    similarity, mirrored = alignment.alignment(first, second)
    evidence = weigh(similarity)
    doubtful = np.flatnonzero((evidence < EVIDENCE) & (evidence > EVIDENCE - DOUBT))
    more = alignment.alignment(first[doubtful], second[doubtful], alignment.MORE_ZOOMS)
    better = doubtful[more[0] > similarity[doubtful]]
    mirrored[better] = more[1][more[0] > similarity[doubtful]]
    similarity[doubtful] = np.maximum(more[0], similarity[doubtful])
    return similarity, mirrored, weigh(similarity)


def whitened(features: NDArray[np.floating]) -> Floats:
    """Features of unit variance in every direction, then of unit length: float32 (N, D).

    What a class shares fills the directions of most variance; where those count no more than the
    others, one image of a class can be told from the next. Directions of next to no variance are
    held down.
    """
    x = np.asarray(features, np.float64)
    x = x - x.mean(axis=0)
    variances, axes = np.linalg.eigh(x.T @ x / len(x))
    scale = np.sqrt(np.maximum(variances, 0) + 1e-3 * max(variances[-1], 1e-12))
    return alignment.normalized((x @ axes / scale).astype(np.float32))


def nearest(queries: Floats, base: Floats, count: int) -> NDArray[np.int64]:
    """The `count` rows of `base` (M, D) of highest dot product with each query, int64 (Q, count).

    In no order. A query that is a row of `base` finds itself too.
    """
    count, found = min(count, len(base)), []
    groups = -(-len(base) // GROUP)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        scores = np.full((len(block), groups * GROUP), -np.inf, np.float32)
        np.matmul(block, base.T, out=scores[:, : len(base)])
        grouped = scores.reshape(len(block), groups, GROUP)
        # The highest `count` lie within the `count` groups of the highest maxima.
        few = min(count, groups)
        best = np.argpartition(-grouped.max(axis=2), few - 1, axis=1)[:, :few]
        inside = np.take_along_axis(grouped, best[:, :, None], axis=1).reshape(len(block), -1)
        top = np.argpartition(-inside, count - 1, axis=1)[:, :count]
        found.append(np.take_along_axis(best, top // GROUP, axis=1) * GROUP + top % GROUP)
    return np.concatenate(found)


def _candidates(images: Images, white: Floats) -> NDArray[np.int64]:
    """Pairs worth a comparison, int64 (K, 2)."""
    small = alignment.thumbnails(images)
    mirrored = small.reshape(len(images), 16, 16)[:, :, ::-1].reshape(small.shape)
    searches = {"features": (white, white), "thumbnails": (small, small)}
    searches["mirrored"] = (mirrored, small)
    rows = np.arange(len(images))
    pairs = []
    for kind, (queries, base) in searches.items():
        found = nearest(queries, base, NEIGHBOURS[kind] + 1)  # itself may be one of them
        pairs.append(np.column_stack([np.repeat(rows, found.shape[1]), found.ravel()]))
    return np.concatenate(pairs)


def _same_pixels(images: Images) -> NDArray[np.int64]:
    """Each image that repeats an earlier one, with the first such: int64 (K, 2)."""
    pairs = [(first, later) for first, *others in repeated(images) for later in others]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _union(*pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every pair once, the lower row first."""
    low, high = np.sort(np.concatenate(pairs), axis=1).T
    size = int(high.max(initial=0)) + 1
    keys = np.unique((low * size + high)[low != high])  # many times faster than unique rows
    return np.column_stack(np.divmod(keys, size))


def _coarsely_alike(images: Images, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs that pass the quick comparison: no scales, each image transformed once."""
    chunk = alignment.CHUNK
    chunks = (images[start : start + chunk] for start in range(0, len(images), chunk))
    seen = np.concatenate(
        [alignment.spectra(alignment.details(some, *alignment.COARSE)) for some in chunks]
    )
    kept = []
    for start in range(0, len(pairs), chunk):
        some = pairs[start : start + chunk]
        first, second = seen[some[:, 0]], seen[some[:, 1]]
        straight = alignment.best_shift(first, second)
        best = np.maximum(straight, alignment.best_shift(alignment.mirror(first), second))
        kept.append(some[best >= GATE])
    return np.concatenate(kept) if kept else pairs


def _usual(images: Images, labels: NDArray[np.int64]) -> float:
    """The correlation that no two images of this data reach by chance, from random pairs of a
    class; 0 where there are too few to tell."""
    order = np.lexsort((random_keys(len(labels), seed=1), labels))
    order = order[labels[order] >= 0]
    # Neighbours in that order are random images of one class.
    pairs = np.column_stack([order[:-1], order[1:]])[labels[order[:-1]] == labels[order[1:]]]
    if len(pairs) < 30:
        return 0.0
    chosen = pairs[np.argsort(random_keys(len(pairs), seed=2))[:BACKGROUND]]
    found = np.arctanh(np.minimum(alignment.alignment(*images[chosen.T])[0], 0.9999))
    middle = np.median(found)
    # The deviation of a normal distribution; the few copies do not widen it.
    spread = 1.4826 * np.median(np.abs(found - middle))
    return float(np.tanh(middle + UNUSUAL * spread))
