"""Whether probabilities can be taken at their word, and the temperature that makes them so.

The confidence of a row is its highest probability. All of this is about confidence alone: whether
of the answers given with 80 % about 80 % are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cifarlab.errors import CifarlabError, UnknownNameError
from cifarlab.metrics.checks import checked
from cifarlab.metrics.probability import softmax

ECE_BINS = 15  # the number that the literature reports (Guo et al. 2017)
LOWEST, HIGHEST = 0.05, 20.0  # temperatures; beyond them a softmax is one class, or nearly flat
TOLERANCE = 1e-9  # of the temperature, relative

Binning = Literal["equal-width", "equal-mass"]


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: one entry a bin, from the least sure rows to the surest.

    Attributes:
        low, high: bounds of the bin's confidence, (low, high], float64 (B,).
        count: rows in it, int64 (B,).
        confidence: their mean confidence, float64 (B,); NaN in an empty bin.
        accuracy: the share of them that is right, float64 (B,); NaN in an empty bin.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The mean over rows of their bin's |confidence - accuracy|."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.nansum(gaps * self.count) / self.count.sum())

    def to_json(self) -> list[dict[str, Any]]:
        """One object a bin, ready for JSON; what an empty bin lacks is None."""
        columns = (self.low, self.high, self.count, self.confidence, self.accuracy)
        names = ("low", "high", "count", "confidence", "accuracy")
        return [
            {k: None if v != v else v for k, v in zip(names, row, strict=True)}
            for row in zip(*(column.tolist() for column in columns), strict=True)
        ]


def reliability(
    logits: ArrayLike, labels: ArrayLike, bins: int = ECE_BINS, binning: Binning = "equal-width"
) -> Reliability:
    """The reliability diagram: confidence and accuracy by bins of confidence.

    Args:
        logits: float (N, C).
        labels: int (N,).
        bins: how many.
        binning: ``"equal-width"``: (m - 1, m] / bins (Guo et al. 2017). ``"equal-mass"``: about as
            many rows in each, so that none is judged by a handful (Nguyen and O'Connor 2015); rows
            of equal confidence stay together, so that bins may then differ, or be empty.

    Example:
        >>> diagram = reliability([[0.0, 0.0], [9.0, 0.0]], [0, 0], bins=2)
        >>> diagram.count.tolist(), diagram.accuracy.tolist()
        ([1, 1], [1.0, 1.0])
    """
    if bins < 1:
        raise CifarlabError(f"calibration needs at least one bin. Received: bins={bins}")
    if binning not in ("equal-width", "equal-mass"):
        raise UnknownNameError("binning", binning, ["equal-width", "equal-mass"])
    logits, labels = checked(logits, labels)
    confidence = softmax(logits).max(axis=1)
    right = logits.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    if binning == "equal-mass":
        last = (np.arange(1, bins) * len(confidence) - 1) // bins  # the row that ends each bin
        edges[1:-1] = np.sort(confidence)[last]
    bin_of = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(bin_of, minlength=bins)
    rows = np.where(count, count, np.nan)
    means = (np.bincount(bin_of, values, minlength=bins) / rows for values in (confidence, right))
    return Reliability(edges[:-1], edges[1:], count, *means)


def expected_calibration_error(
    logits: ArrayLike, labels: ArrayLike, bins: int = ECE_BINS, binning: Binning = "equal-width"
) -> float:
    """How far confidence is from the share that is right, in [0, 1].

    The mean over the bins of `reliability`, weighted by their rows, of |mean confidence - share
    right| (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2). Chance alone
    makes it positive: see docs/figures.md.

    Example:
        >>> round(expected_calibration_error([[0.0, 0.0], [0.0, 0.0]], [0, 0]), 4)
        0.5
    """
    return reliability(logits, labels, bins, binning).error


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T for which softmax(logits / T) has the least log loss.

    One number for all classes: it makes every answer more or less sure and changes none (Guo et al.
    2017, section 4.2). Fit it on images that neither trained nor test the model. The log loss is
    convex in 1 / T, so its slope has one root, which Newton's method finds within
    `TOLERANCE`; a step that leaves the bracket is replaced by halving the bracket.

    Returns:
        T in [0.05, 20]. The data may not say how sure the model may be: where no mistake stands
        against ever more certainty, 1.0, which changes nothing.

    Example:
        >>> logits = [[4.0, 0.0]] * 4  # 98 % sure, right three times in four
        >>> T = fit_temperature(logits, [0, 0, 0, 1])
        >>> softmax(np.array(logits) / T)[0].round(6).tolist()
        [0.75, 0.25]
    """
    logits, labels = checked(logits, labels)
    gaps = logits - logits[np.arange(len(labels)), labels][:, None]
    low, high = 1 / HIGHEST, 1 / LOWEST  # of the factor 1 / T
    if _slope(gaps, low)[0] >= 0:
        return HIGHEST
    if _slope(gaps, high)[0] <= 0:
        return 1.0
    factor = 1.0
    for _ in range(200):
        slope, curvature = _slope(gaps, factor)
        low, high = (factor, high) if slope < 0 else (low, factor)
        step = factor - slope / curvature if curvature > 0 else 0.0
        following = step if low < step < high else (low + high) / 2
        if abs(following - factor) <= TOLERANCE * factor:
            return float(1 / following)
        factor = following
    return float(1 / factor)


def _slope(gaps: NDArray[np.float64], factor: float) -> tuple[float, float]:
    """First and second derivative of the mean log loss by the factor on the logits.

    The loss of a row is log(sum(exp(factor * gap))): its derivatives are the mean and the variance
    of the gaps under the softmax.
    """
    weights = softmax(gaps * factor)
    mean = (weights * gaps).sum(axis=1)
    variance = (weights * np.square(gaps - mean[:, None])).sum(axis=1)
    return float(mean.mean()), float(variance.mean())
