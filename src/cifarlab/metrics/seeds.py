"""Several seeds: how far runs of one recipe lie apart, and where they answer alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError
from cifarlab.metrics.checks import checked_sample


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """How far figures of several runs lie apart: n, minimum, median, maximum, deviation.

    ``deviation`` is the sample's standard deviation (n - 1); None of one run. The mean and its
    interval are `mean_interval`'s.

    Example:
        >>> spread([0.93, 0.94, 0.95])["median"]
        0.94
    """
    sample = checked_sample(values, 1, "a spread")
    return {
        "n": len(sample),
        "minimum": float(sample.min()),
        "median": float(np.median(sample)),
        "maximum": float(sample.max()),
        "deviation": float(sample.std(ddof=1)) if len(sample) > 1 else None,
    }


def agreement(predictions: ArrayLike) -> NDArray[np.float64]:
    """For each image, the share of pairs of runs that give it the same class, float64 (N,).

    Its mean is how often two of these runs agree. Runs that are equally good may still disagree
    about a tenth of the images (Milani Fard et al. 2016, "Launch and iterate: reducing prediction
    churn"); 1 - agreement is that churn.

    Args:
        predictions: the classes that S >= 2 runs give to the same N images, int (S, N).

    Example:
        >>> agreement([[0, 1], [0, 1], [0, 2]]).round(3).tolist()
        [1.0, 0.333]
    """
    answers = np.asarray(predictions)
    whole = np.issubdtype(answers.dtype, np.integer)
    if answers.ndim != 2 or len(answers) < 2 or not answers.shape[1] or not whole:
        raise CifarlabError(
            "agreement needs the predictions of two runs or more, integers (S, N). "
            f"Received: {answers.dtype} {answers.shape}"
        )
    pairs = len(answers) * (len(answers) - 1)
    alike = sum((answers == run).sum(axis=0) - 1 for run in answers)  # each run with the others
    return alike / pairs
