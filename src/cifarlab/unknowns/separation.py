"""How well the score that decides `known` tells pictures of other things from the classes' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cifarlab.metrics import auroc_interval, softmax, wilson_interval
from cifarlab.unknowns import Floats, auroc, energy

BINS = 40  # of the histogram of scores
# What `known` may be decided by, in words.
SCORES = {"energy": "energy of the logits", "max_softmax": "highest probability"}


def known_rule(result: Mapping[str, Any]) -> tuple[str, float | None]:
    """The score by which a run's `known` is decided, and the threshold that it has to reach.

    The threshold is None where the training held no images out to choose one: all is known then.

    Args:
        result: what result.json holds.

    Example:
        >>> known_rule({"known_score": "energy", "known_threshold": 2.5}), known_rule({})
        (('energy', 2.5), ('max_softmax', None))
    """
    score, threshold = result.get("known_score", "max_softmax"), result.get("known_threshold")
    # Runs of before the energy wrote 0 for none: a highest probability is always above it.
    return score, None if score != "energy" and threshold == 0 else threshold


def known_scores(
    logits: ArrayLike, views: Sequence[int], score: str, temperature: float = 1.0
) -> Floats:
    """The score of each of N pictures, float64 (N,), that a threshold on `known` is set against.

    Args:
        logits: raw, float (M, C), of the views of the first picture, then of the second, ….
        views: (N,) how many views each picture has, 1 or more; their sum is M.
        score: ``"energy"``, the mean `energy` of a picture's views, or ``"max_softmax"``, the
            highest of the mean probabilities.
        temperature: divides the logits for probabilities; the energy is of raw ones.

    Example:
        >>> known_scores([[0.0, 0.0], [9.0, 0.0], [9.0, 0.0]], [1, 2], "energy").round(2).tolist()
        [0.69, 9.0]
    """
    counts = np.asarray(views)
    starts = np.cumsum(counts) - counts
    if score == "energy":
        return np.add.reduceat(energy(logits), starts) / counts
    probabilities = softmax(np.asarray(logits, np.float64) / temperature)
    return (np.add.reduceat(probabilities, starts) / counts[:, None]).max(axis=1)


def separation(
    known: ArrayLike, unknown: Mapping[str, ArrayLike], score: str, threshold: float
) -> dict[str, Any]:
    """The figures of ``unknowns.json``, JSON-ready.

    Args:
        known: scores (N,) of images of the classes.
        unknown: name of a set to the scores of its pictures, one or more.
        score: what they are, in a word.
        threshold: a picture below it is called unknown.

    Returns:
        ``score``, ``threshold``; ``known``: ``n``, and ``refused``, the share below the threshold;
        ``sets``: name to ``n``, ``auroc``, and ``passed``, the share that is not below; 95 %
        intervals of all under ``…_ci95``; ``histogram``: ``edges`` of `BINS` bins of the score, and
        the shares of ``known`` and of each of the ``sets`` in them.

    Raises:
        DataError: a set is empty, or a score is NaN.

    Example:
        >>> found = separation([3.0, 2.0, 1.0], {"noise": [0.0, 2.0]}, "energy", 1.5)
        >>> round(found["known"]["refused"], 2), found["sets"]["noise"]["passed"]
        (0.33, 0.5)
        >>> found["sets"]["noise"]["auroc"]
        0.75
    """
    inside = np.asarray(known, np.float64)
    outside = {name: np.asarray(scores, np.float64) for name, scores in unknown.items()}
    return {
        "score": score,
        "threshold": threshold,
        "known": {"n": len(inside), **_share("refused", inside < threshold)},
        "sets": {
            name: {
                "n": len(scores),
                "auroc": auroc(inside, scores),
                "auroc_ci95": list(auroc_interval(inside, scores)),
                **_share("passed", scores >= threshold),
            }
            for name, scores in outside.items()
        },
        "histogram": _histogram(inside, outside),
    }


def _share(name: str, those: np.ndarray) -> dict[str, Any]:
    interval = wilson_interval(int(those.sum()), len(those))
    return {name: float(those.mean()), f"{name}_ci95": list(interval)}


def _histogram(known: Floats, unknown: Mapping[str, Floats]) -> dict[str, Any]:
    edges = np.histogram_bin_edges(np.concatenate([known, *unknown.values()]), BINS)

    def shares(scores: Floats) -> list[float]:
        return (np.histogram(scores, edges)[0] / len(scores)).tolist()

    sets = {name: shares(scores) for name, scores in unknown.items()}
    return {"edges": edges.tolist(), "known": shares(known), "sets": sets}
