"""How many answers are right, in all and by class, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError, UnknownNameError
from cifarlab.metrics.checks import checked, checked_classes, same_length


class Confusion(NamedTuple):
    """One kind of mistake: how often (`times`) the class `true` was taken for `predicted`.

    `share` is `times` over the rows of the true class.
    """

    true: int
    predicted: int
    times: int
    share: float


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Share of rows whose highest logit is the label's, in [0, 1].

    Example:
        >>> accuracy([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [5.0, 4.0]], [0, 1, 1, 0])
        0.75
    """
    logits, labels = checked(logits, labels)
    return float(np.mean(logits.argmax(axis=1) == labels))


def balanced_accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the recalls of the classes that have rows, in [0, 1] (Brodersen et al. 2010).

    A class counts as much as any other, however few rows it has. `balanced_accuracy_interval` is
    its interval.

    Example:
        >>> balanced_accuracy([[1.0, 0.0]] * 4, [0, 0, 0, 1])  # accuracy would be 0.75
        0.5
    """
    logits, labels = checked(logits, labels)
    matrix = confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])
    support = matrix.sum(axis=1)
    present = support > 0
    return float(np.mean(matrix.diagonal()[present] / support[present]))


def top_k_accuracy(logits: ArrayLike, labels: ArrayLike, k: int) -> float:
    """Share of rows whose label is among the `k` highest logits, in [0, 1].

    Among equal logits the first classes count as higher, so that k = 1 is `accuracy`.

    Raises:
        CifarlabError: `k` is not in [1, C], or as everywhere.

    Example:
        >>> top_k_accuracy([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], [1, 2], k=2)
        0.5
    """
    logits, labels = checked(logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise CifarlabError(f"k must lie in [1, {logits.shape[1]}], the classes. Received: {k}")
    own = logits[np.arange(len(labels)), labels][:, None]
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & before)).sum(axis=1)
    return float(np.mean(rank < k))


def confusion_matrix(
    labels: ArrayLike,
    predictions: ArrayLike,
    num_classes: int,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> NDArray:
    """Counts, int64 (C, C): row = true class, column = predicted class; or shares, float64 (C, C).

    Args:
        labels: int (N,) in [0, C).
        predictions: the same.
        num_classes: C.
        normalize: None for counts; shares of each row (``"true"``: recalls stand in the diagonal),
            of each column (``"pred"``: precisions do) or of all; a share of nothing is 0.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
        [[1, 1], [0, 1]]
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], num_classes=2, normalize="true").tolist()
        [[0.5, 0.5], [0.0, 1.0]]
    """
    labels = checked_classes(labels, num_classes, "labels")
    predictions = checked_classes(predictions, num_classes, "predictions")
    same_length(labels=labels, predictions=predictions)
    pairs = labels * num_classes + predictions
    matrix = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    return matrix if normalize is None else confusion_shares(matrix, normalize)


def confusion_shares(
    matrix: ArrayLike, normalize: Literal["true", "pred", "all"] = "true"
) -> NDArray[np.float64]:
    """Counts as shares in [0, 1], float64 (C, C): where only the counts were kept.

    Args:
        matrix: what `confusion_matrix` counted, (C, C).
        normalize: what they are shares of, as for `confusion_matrix`.

    Raises:
        CifarlabError: the matrix is not square.
        UnknownNameError: there is no such `normalize`.

    Example:
        >>> confusion_shares([[3, 1], [0, 0]]).tolist()
        [[0.75, 0.25], [0.0, 0.0]]
    """
    counts = _square(matrix)
    axes = {"true": 1, "pred": 0, "all": None}
    if normalize not in axes:
        raise UnknownNameError("normalization", normalize, axes)
    return counts / np.maximum(counts.sum(axis=axes[normalize], keepdims=True), 1)


def most_confused(matrix: ArrayLike, most: int = 10) -> list[Confusion]:
    """The most frequent mistakes, at most so many, the most frequent first.

    Args:
        matrix: what `confusion_matrix` counted, (C, C).
        most: how many; equals come in the order of their classes.

    Example:
        >>> most_confused([[8, 2], [0, 5]])
        [Confusion(true=0, predicted=1, times=2, share=0.2)]
    """
    counts = _square(matrix)
    wrong, support = counts - np.diag(counts.diagonal()), counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [divmod(int(cell), len(counts)) for cell in order]
    return [
        Confusion(i, j, int(wrong[i, j]), float(wrong[i, j] / support[i]))
        for i, j in cells
        if wrong[i, j]
    ]


def per_class(
    labels: ArrayLike, predictions: ArrayLike, class_names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 (each in [0, 1]) and support (rows of that class) by class name.

    A share of nothing is 0: the precision of a class never predicted, the recall of one absent.

    Example:
        >>> per_class([0, 0, 1], [0, 1, 1], ["cat", "dog"])["cat"]
        {'precision': 1.0, 'recall': 0.5, 'f1': 0.666..., 'support': 2}
    """
    matrix = confusion_matrix(labels, predictions, len(class_names))
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        name: {
            "precision": _share(hits[i], predicted[i]),
            "recall": _share(hits[i], support[i]),
            "f1": _share(2 * hits[i], support[i] + predicted[i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(class_names)
    }


def _square(matrix: ArrayLike) -> NDArray:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise CifarlabError(f"a confusion matrix must be square. Received: {counts.shape}")
    return counts


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
