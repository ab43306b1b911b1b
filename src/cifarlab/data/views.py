"""From a picture of any shape to the squares that a model is shown, and the same in words.

CIFAR-10's images are square as they come, so what a model trained on them should see of a
photograph is open. Each way loses something: a crop the rim, stretching the proportions, padding
the size. A model is wrong about different photographs each way, so "crop+stretch" shows it both
and averages the probabilities; docs/predict.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cifarlab.data.decode import FITS, Pixels, fit_image
from cifarlab.errors import UnknownNameError

RULES = (*FITS, "crop+stretch")  # ways to scale a picture for a prediction; "+" means both
SQUARE_DATA = ("cifar10", "digits")  # datasets whose images are square before anything fits them

_IN_WORDS = {
    "crop": "its centre square",
    "stretch": "stretched to a square",
    "pad": "whole, its short side continued as a mirror image",
}


def fit_views(image: Pixels, size: int, rule: str) -> Pixels:
    """The squares of a picture that a model is shown; its probabilities are averaged over them.

    Args:
        image: uint8 (H, W, 3).
        size: their side S in pixels.
        rule: one of `RULES`.

    Returns:
        uint8 (V, S, S, 3): a view for each part of `rule`, and one where the picture is square,
        for which every part is the same.

    Raises:
        UnknownNameError: `rule` is none of `RULES`.

    Example:
        >>> [len(fit_views(np.zeros(s, np.uint8), 32, "crop+stretch")) for s in
        ...  ((480, 640, 3), (32, 32, 3))]
        [2, 1]
    """
    return np.stack([fit_image(image, size, fit) for fit in _fits(image.shape, rule)])


def describe_views(shape: tuple[int, ...], size: int, rule: str) -> list[str]:
    """What `fit_views` does to a picture of `shape` (H, W, ...), in words, a line a view.

    Example:
        >>> describe_views((480, 640, 3), 32, "crop+stretch")[0]
        'its centre square, 480 of 640 x 480, scaled to 32 x 32, antialiased'
    """
    height, width = shape[:2]
    if (height, width) == (size, size):
        return [f"{size} x {size}, as it is"]
    shrinks = size < height or size < width
    scaling = f"scaled to {size} x {size}, " + ("antialiased" if shrinks else "bicubic")
    lines = []
    for fit in _fits(shape, rule):
        extent = f"{width} x {height}"
        if height == width:
            lines.append(f"{extent}, {scaling}")
            continue
        kept = f"{min(height, width)} of {extent}" if fit == "crop" else extent
        lines.append(f"{_IN_WORDS[fit]}, {kept}, {scaling}")
    return lines


def photograph_rule(data: Mapping[str, Any]) -> str:
    """How a model trained on `data` (a run's data.json) is shown a picture that is not square.

    As its training fitted such pictures; where the training had none, as serves photographs best.

    Example:
        >>> photograph_rule({"name": "cifar10", "fit": "crop"})
        'crop+stretch'
        >>> photograph_rule({"name": "flowers", "fit": "pad"})
        'pad'
    """
    return RULES[-1] if data["name"] in SQUARE_DATA and data["fit"] == "crop" else data["fit"]


def _fits(shape: tuple[int, ...], rule: str) -> list[str]:
    if rule not in RULES:
        raise UnknownNameError("fit", rule, RULES)
    fits = rule.split("+")
    return fits[:1] if shape[0] == shape[1] else fits
