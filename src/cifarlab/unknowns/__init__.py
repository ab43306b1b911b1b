"""Scores that tell images of a model's classes from images of none of them, after the training.

Each score is higher for an image that the model knows. Those of the logits need nothing else:

- `max_softmax`: Hendrycks and Gimpel 2017, arXiv:1610.02136;
- `max_logit`: Hendrycks and others 2022, arXiv:1911.11132;
- `energy`: Liu and others 2020, arXiv:2010.03759.

Those of the features are fitted to the training images, `fit_scores` makes them all:

- nearest neighbour: Sun and others 2022, arXiv:2204.06507;
- Mahalanobis: Lee and others 2018, arXiv:1807.03888;
- relative Mahalanobis: Ren and others 2021, arXiv:2106.09022;
- ViM: Wang and others 2022, arXiv:2203.10807;
- fDBD: Liu and Qin 2024, arXiv:2312.11536.

NumPy only. Features are what `cifarlab.models.features.with_features` gives, float (N, D); logits
float (N, C). docs/unknowns.md compares the scores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import DataError
from cifarlab.metrics import area_under_roc, softmax

BLOCK = 512  # rows of similarities held in memory at a time

Floats = NDArray[np.float64]
Score = Callable[[ArrayLike, ArrayLike], Floats]  # features (N, D), logits (N, C) -> (N,)


def max_softmax(logits: ArrayLike) -> Floats:
    """The highest probability, float64 (N,) in [1 / C, 1].

    Example:
        >>> max_softmax([[0.0, 0.0], [99.0, 0.0]]).tolist()
        [0.5, 1.0]
    """
    return softmax(logits).max(axis=1)


def max_logit(logits: ArrayLike) -> Floats:
    """The highest logit, float64 (N,).

    Example:
        >>> max_logit([[1.0, 3.0]]).tolist()
        [3.0]
    """
    return _checked(logits, "logits").max(axis=1)


def energy(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """The negative free energy T log sum exp(logit / T), float64 (N,).

    Example:
        >>> energy([[0.0, 0.0]]).round(4).tolist()
        [0.6931]
    """
    scaled = _checked(logits, "logits") / temperature
    highest = scaled.max(axis=1)
    return temperature * (highest + np.log(np.exp(scaled - highest[:, None]).sum(axis=1)))


def nearest_neighbour(known: ArrayLike, k: int = 50) -> Callable[[ArrayLike], Floats]:
    """A score: minus the distance to the k-th nearest of `known` (M, D), all of unit length.

    Example:
        >>> score = nearest_neighbour([[1.0, 0.0], [0.9, 0.1]], k=1)
        >>> bool(score([[5.0, 0.0]])[0] > score([[0.0, 5.0]])[0])
        True
    """
    base = _unit(_checked(known, "features")).astype(np.float32)
    k = min(k, len(base))

    def score(features: ArrayLike) -> Floats:
        unit = _unit(_checked(features, "features")).astype(np.float32)
        found = []
        for start in range(0, len(unit), BLOCK):
            cosines = unit[start : start + BLOCK] @ base.T
            kth = np.partition(cosines, -k, axis=1)[:, -k].astype(np.float64)
            found.append(-np.sqrt(np.maximum(2 - 2 * kth, 0)))
        return np.concatenate(found)

    return score


def mahalanobis(
    known: ArrayLike, labels: ArrayLike, *, relative: bool = False
) -> Callable[[ArrayLike], Floats]:
    """A score: minus the squared Mahalanobis distance to the nearest class mean.

    Args:
        known: (M, D) features of training images.
        labels: int (M,).
        relative: less the distance to the mean of all, in the covariance of all, so that
            directions that tell no class count no more.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 3)) + np.repeat([[0], [9]], 100, axis=0)
        >>> score = mahalanobis(x, np.repeat([0, 1], 100))
        >>> bool(score([[9.0, 9.0, 9.0]])[0] > score([[4.5, 4.5, 4.5]])[0])
        True
    """
    x, y = _checked(known, "features"), np.asarray(labels)
    classes, place = np.unique(y, return_inverse=True)
    means = np.stack([x[y == label].mean(axis=0) for label in classes])
    within = _whitening(x - means[place])
    centres, overall = means @ within, x.mean(axis=0)
    among = _whitening(x - overall) if relative else None

    def score(features: ArrayLike) -> Floats:
        rows = _checked(features, "features")
        moved = rows @ within
        squares = (moved**2).sum(axis=1)[:, None] - 2 * moved @ centres.T + (centres**2).sum(axis=1)
        nearest = squares.min(axis=1)
        if among is not None:
            nearest = nearest - (((rows - overall) @ among) ** 2).sum(axis=1)
        return -nearest

    return score


def virtual_logit(known: ArrayLike, logits: ArrayLike) -> Callable[[ArrayLike, ArrayLike], Floats]:
    """ViM: energy less the scaled length of what the principal space of `known` leaves over.

    The origin is where the head's logits are all equal; the principal space has half of the
    dimensions (the paper: 512 of 768, or 1000 of 2048).

    Args:
        known: (M, D) features of training images.
        logits: (M, C), linear in the features.
    """
    x, z = _checked(known, "features"), _checked(logits, "logits")
    weights, bias = head(x, z)
    origin = -np.linalg.pinv(weights.T) @ bias
    centred = x - origin
    _, axes = np.linalg.eigh(centred.T @ centred / len(x))
    rest = axes[:, : max(x.shape[1] // 2, 1)]  # eigh sorts upwards
    left = np.linalg.norm(centred @ rest, axis=1).mean()
    alpha = z.max(axis=1).mean() / max(left, 1e-12)

    def score(features: ArrayLike, logits: ArrayLike) -> Floats:
        over = np.linalg.norm((_checked(features, "features") - origin) @ rest, axis=1)
        return energy(logits) - alpha * over

    return score


def boundary_distance(
    known: ArrayLike, logits: ArrayLike
) -> Callable[[ArrayLike, ArrayLike], Floats]:
    """fDBD: mean distance to the decision boundaries over the distance to the mean of `known`.

    Args:
        known: (M, D) features of training images.
        logits: (M, C), linear in the features.
    """
    x = _checked(known, "features")
    weights, _ = head(x, _checked(logits, "logits"))
    apart = np.linalg.norm(weights[:, :, None] - weights[:, None, :], axis=0)  # (C, C)
    np.fill_diagonal(apart, np.inf)
    mean = x.mean(axis=0)

    def score(features: ArrayLike, logits: ArrayLike) -> Floats:
        z = _checked(logits, "logits")
        best = z.argmax(axis=1)
        gaps = z.max(axis=1)[:, None] - z
        distance = (gaps / np.maximum(apart[best], 1e-12)).sum(axis=1) / (z.shape[1] - 1)
        spread = np.linalg.norm(_checked(features, "features") - mean, axis=1)
        return distance / np.maximum(spread, 1e-12)

    return score


def energy_and_middle(
    known: ArrayLike, logits: ArrayLike, labels: ArrayLike, share: float = 0.25
) -> Score:
    """A score: the energy and, by `share` of its weight, the Mahalanobis score of other features.

    Both in their deviations over `known`. Features of the middle (`with_features(model,
    middle=True)`) say whether an image is made of what the known ones are made of, the energy
    whether that makes one of the classes.

    Args:
        known: (M, D) features of training images; those that the score will be given.
        logits: (M, C).
        labels: int (M,).
        share: docs/unknowns.md says what was tried.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> score = energy_and_middle(x, x[:, :2], np.arange(50) % 2)
        >>> bool(score([[0, 0, 0]], [[0, 0]])[0] > score([[0, 0, 9]], [[0, 0]])[0])
        True
    """
    distance = mahalanobis(known, labels)
    scales = [max(float(part.std()), 1e-12) for part in (energy(logits), distance(known))]

    def score(features: ArrayLike, logits: ArrayLike) -> Floats:
        return energy(logits) / scales[0] + share * distance(features) / scales[1]

    return score


def head(features: ArrayLike, logits: ArrayLike) -> tuple[Floats, Floats]:
    """The linear map from features to logits, by least squares: weights (D, C) and bias (C,).

    Logits that are a linear layer of the features, scaled or not, are met exactly; so no score
    need know how a model's head is made.
    """
    x, z = _checked(features, "features"), _checked(logits, "logits")
    mean = x.mean(axis=0)
    weights = np.linalg.lstsq(x - mean, z - z.mean(axis=0), rcond=1e-9)[0]
    return weights, z.mean(axis=0) - mean @ weights


def fit_scores(features: ArrayLike, logits: ArrayLike, labels: ArrayLike) -> dict[str, Score]:
    """Every score by name, fitted to training images.

    Args:
        features: (M, D).
        logits: (M, C).
        labels: int (M,).

    Returns:
        name to a function of features (N, D) and logits (N, C) that gives float64 (N,), higher for
        images that the model knows.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x = random.normal(size=(60, 4))
        >>> scores = fit_scores(x, x @ random.normal(size=(4, 3)), np.arange(60) % 3)
        >>> sorted(scores)
        ['energy', 'fdbd', 'knn', 'mahalanobis', 'max_logit', 'max_softmax', 'relative', 'vim']
    """
    near = nearest_neighbour(features)
    absolute = mahalanobis(features, labels)
    relative = mahalanobis(features, labels, relative=True)
    return {
        "max_softmax": lambda x, z: max_softmax(z),
        "max_logit": lambda x, z: max_logit(z),
        "energy": lambda x, z: energy(z),
        "knn": lambda x, z: near(x),
        "mahalanobis": lambda x, z: absolute(x),
        "relative": lambda x, z: relative(x),
        "vim": virtual_logit(features, logits),
        "fdbd": boundary_distance(features, logits),
    }


def threshold(scores: ArrayLike, keep: float = 0.95) -> float:
    """The score that `keep` of validation images reach: below it, an image is of no class.

    Example:
        >>> threshold([1.0, 2.0, 3.0, 4.0, 5.0], keep=0.8)
        2.0
    """
    values = np.sort(np.asarray(scores, np.float64))
    if not len(values) or not 0 < keep <= 1:
        raise DataError(f"a threshold needs scores and a share to keep in (0, 1], not {keep}")
    return float(values[len(values) - int(np.ceil(keep * len(values) - 1e-9))])


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a known image scores above an unknown one.

    Ties count a half (Mann and Whitney 1947); it is `sklearn.metrics.roc_auc_score`.

    Example:
        >>> auroc([3.0, 2.0], [1.0, 2.0])
        0.875
    """
    scores = np.concatenate([np.asarray(known, np.float64), np.asarray(unknown, np.float64)])
    inside = np.arange(len(scores)) < len(np.asarray(known))
    if inside.all() or not inside.any() or np.isnan(scores).any():
        raise DataError("an AUROC needs scores of known and of unknown images, none of them NaN")
    return area_under_roc(scores, inside)


def _checked(values: ArrayLike, what: str) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
        raise DataError(f"{what} must be finite, of the shape (N, D). Received: {array.shape}")
    return array


def _unit(rows: Floats) -> Floats:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _whitening(centred: Floats) -> Floats:
    """W with |x W| the Mahalanobis length of x: (D, D), directions without variance left out."""
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances > 1e-9 * max(variances[-1], 1e-300)
    return axes[:, kept] / np.sqrt(variances[kept])
