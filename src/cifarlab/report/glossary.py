"""What the figures' names mean, in a sentence or two; docs/figures.md has formulas and sources."""

from __future__ import annotations

from typing import NamedTuple


class Term(NamedTuple):
    """A figure's name as docs/figures.md has it, and what it says."""

    name: str
    meaning: str


GLOSSARY = {
    "accuracy": Term("Accuracy", "The share of images whose prediction is the label."),
    "interval": Term(
        "95 % interval",
        "Had other images of the same kind been drawn, the true share would be inside in 95 "
        "draws of 100. It says nothing about other seeds.",
    ),
    "balanced_accuracy": Term(
        "Balanced accuracy",
        "The mean of the classes’ recalls: each class counts alike, however rare it is.",
    ),
    "top_k": Term(
        "Top-k accuracy",
        "The share of images whose label is among the k classes that were found most probable.",
    ),
    "tta": Term(
        "Test-time augmentation",
        "Answers averaged over several views of an image: what they gain, on the same images, over "
        "answers to the image alone, and what they cost.",
    ),
    "recall": Term("Recall", "Of the images of a class, the share that is found."),
    "precision": Term("Precision", "Of the images called a class, the share that is one."),
    "f1": Term("F1", "The harmonic mean of precision and recall: high only where both are."),
    "support": Term("Support", "How many images of the class there are."),
    "roc_auc": Term(
        "ROC-AUC",
        "Of an image of the class and one of another, how often the first is given the higher "
        "probability of the class. 0.5 is chance, 1 perfect.",
    ),
    "average_precision": Term(
        "Average precision",
        "Precision averaged over the images of the class, going down by probability. Chance is "
        "the class’s share of all images, 1 perfect.",
    ),
    "confusion": Term(
        "Confusion matrix", "How often each class (row) was taken for each other (column)."
    ),
    "loss": Term(
        "Log loss",
        "Minus the mean logarithm of the probability that was given to the label: what training "
        "makes small. Sure and wrong costs most; 0 is perfect.",
    ),
    "brier": Term(
        "Brier score",
        "The squared distance of the probabilities from the truth, from 0 (perfect) to 2.",
    ),
    "confidence": Term("Confidence", "The highest probability of an answer."),
    "ece": Term(
        "Expected calibration error",
        "By how much confidence and the share that is right differ on average, over 15 bins of "
        "confidence. Chance alone makes it positive.",
    ),
    "reliability": Term(
        "Reliability diagram",
        "The share that is right over confidence, in bins. On the diagonal both agree; below it "
        "the model is too sure.",
    ),
    "temperature": Term(
        "Temperature",
        "One number by which all logits are divided, fitted on validation, so that probabilities "
        "mean what they say. It changes no answer.",
    ),
    "thresholds": Term(
        "Thresholds of precision",
        "The lowest confidence from which answers are right at least so often, found on validation "
        "with a safety margin.",
    ),
    "coverage": Term("Coverage", "The share of images that are answered at all."),
    "risk_coverage": Term(
        "Risk-coverage curve",
        "The share of mistakes among the surest images, over how many of them are answered.",
    ),
    "aurc": Term(
        "AURC",
        "The mean height of the risk-coverage curve. Small where the model is right, and its "
        "mistakes are the answers that it is least sure of.",
    ),
    "auroc_unknown": Term(
        "AUROC of known against unknown",
        "Of an image of the classes and a picture of something else, how often the first has the "
        "higher score. 0.5 is chance, 1 perfect.",
    ),
    "cam": Term(
        "Class-activation map",
        "The places of an image that raise the logit of a class, by the last feature maps.",
    ),
    "corruption": Term(
        "Mean corruption accuracy",
        "The mean accuracy over all corruptions and severities but shifts, scales and rotations.",
    ),
}
