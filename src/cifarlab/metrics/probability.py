"""Probabilities, and how far they are from what was true: log loss and Brier score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.metrics.checks import checked, checked_logits


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities, float64 (N, C), each row adding up to 1.

    Example:
        >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
        [[0.5, 0.5], [1.0, 0.0]]
    """
    return np.exp(_log_softmax(checked_logits(logits)))


def log_loss(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood of the labels in nats: the cross-entropy, >= 0.

    Example:
        >>> round(log_loss([[0.0, 0.0]], [1]), 4)  # log 2: it cannot tell
        0.6931
    """
    return float(log_losses(logits, labels).mean())


def log_losses(logits: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Each row's negative log-likelihood of its label in nats, float64 (N,); see `log_loss`."""
    logits, labels = checked(logits, labels)
    return -_log_softmax(logits)[np.arange(len(labels)), labels]


def brier_score(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared distance of the probabilities from the truth, in [0, 2]; 0 is perfect.

    The sum over all classes of (probability - 1 if it is the label's, else 0) squared, as in Brier
    1950, "Verification of forecasts expressed in terms of probability".

    Example:
        >>> brier_score([[0.0, 0.0]], [1])
        0.5
    """
    logits, labels = checked(logits, labels)
    errors = softmax(logits)
    errors[np.arange(len(labels)), labels] -= 1
    return float(np.square(errors).sum(axis=1).mean())


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)  # no overflow: the largest becomes 0
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
