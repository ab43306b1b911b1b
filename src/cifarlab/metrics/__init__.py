"""Every figure that the lab reports, from logits and labels, in NumPy alone.

    accuracy.py     right answers, by class, confusions    calibration.py  reliability, temperature
    probability.py  softmax, log loss, Brier score         selective.py    answering only when sure
    ranking.py      areas under ROC, average precision     intervals.py    what chance leaves open
    paired.py       two models on the same images          seeds.py        several seeds
    summary.py      what result.json says                  checks.py       what is refused

Where scikit-learn or SciPy has the same figure, it is equal to it (``zero_division=0``); the tests
compare them. docs/figures.md says what each figure means, its formula and its source.

Shapes: ``logits`` is float (N, C), ``labels`` and ``predictions`` are int (N,) in [0, C), N >= 1. A
prediction is the class of the highest logit, the first one among equals, as in ``numpy.argmax``.
Whatever cannot be measured (NaN, no rows, labels out of range) raises ``CifarlabError``.
"""

from cifarlab.metrics.accuracy import (
    Confusion,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    confusion_shares,
    most_confused,
    per_class,
    top_k_accuracy,
)
from cifarlab.metrics.calibration import (
    ECE_BINS,
    Reliability,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from cifarlab.metrics.intervals import (
    auroc_interval,
    balanced_accuracy_interval,
    mean_interval,
    welch_interval,
    wilson_interval,
)
from cifarlab.metrics.paired import McNemar, class_differences, holm, mcnemar, paired_bootstrap
from cifarlab.metrics.probability import brier_score, log_loss, log_losses, softmax
from cifarlab.metrics.ranking import area_under_roc, average_precision, roc_auc
from cifarlab.metrics.seeds import agreement, spread
from cifarlab.metrics.selective import (
    answered_from,
    area_under_risk_coverage,
    calibrate,
    precision_threshold,
    risk_coverage,
)
from cifarlab.metrics.summary import summarize

__all__ = [
    "ECE_BINS",
    "Confusion",
    "McNemar",
    "Reliability",
    "accuracy",
    "agreement",
    "answered_from",
    "area_under_risk_coverage",
    "area_under_roc",
    "auroc_interval",
    "average_precision",
    "balanced_accuracy",
    "balanced_accuracy_interval",
    "brier_score",
    "calibrate",
    "class_differences",
    "confusion_matrix",
    "confusion_shares",
    "expected_calibration_error",
    "fit_temperature",
    "holm",
    "log_loss",
    "log_losses",
    "mcnemar",
    "mean_interval",
    "most_confused",
    "paired_bootstrap",
    "per_class",
    "precision_threshold",
    "reliability",
    "risk_coverage",
    "roc_auc",
    "softmax",
    "spread",
    "summarize",
    "top_k_accuracy",
    "welch_interval",
    "wilson_interval",
]
