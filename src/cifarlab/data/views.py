"""From a picture of any shape to the squares that a model is shown, and the same in words.

CIFAR-10's images are square and filled by their object, so what a model trained on them should see
of a photograph is open. Each way loses something: a crop the rim, stretching the proportions, and
in either the object may be small. So "photo" shows the model several views and averages what it
says; docs/predict.md has the figures of this and of the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cifarlab.data.decode import FITS, Pixels, fit_image
from cifarlab.errors import UnknownNameError

RULES = (*FITS, "photo")  # ways to scale a picture for a prediction
ZOOM = 0.8  # the share of each side that the nearer views of "photo" keep
SQUARE_DATA = ("cifar10", "digits")  # datasets whose images are square before anything fits them

_IN_WORDS = {
    "crop": "the centre square",
    "stretch": "stretched to a square",
    "pad": "the whole, its short side continued as a mirror image",
}


def fit_views(image: Pixels, size: int, rule: str) -> Pixels:
    """The squares of a picture that a model is shown; its probabilities are averaged over them.

    "photo" is the centre square and the picture stretched to a square, each of the whole picture
    and of its middle four fifths: four views. It is fewer where some would be alike: a square
    picture has nothing to stretch, one that is less than twice the model's size was framed by
    somebody else, and one of just that size is shown as it is. Any other rule has one view.

    Args:
        image: uint8 (H, W, 3).
        size: their side S in pixels.
        rule: one of `RULES`.

    Returns:
        uint8 (V, S, S, 3), the whole picture first.

    Raises:
        UnknownNameError: `rule` is none of `RULES`.

    Example:
        >>> shapes = (480, 640, 3), (480, 480, 3), (48, 64, 3), (32, 32, 3)
        >>> [len(fit_views(np.zeros(shape, np.uint8), 32, "photo")) for shape in shapes]
        [4, 2, 2, 1]
    """
    views = []
    for share, fit in _parts(image.shape, size, rule):
        views.append(fit_image(_middle(image, share), size, fit))
    return np.stack(views)


def describe_views(shape: tuple[int, ...], size: int, rule: str) -> list[str]:
    """What `fit_views` does to a picture of `shape` (H, W, ...), in words, a line a view.

    Example:
        >>> describe_views((480, 640, 3), 32, "photo")[0]
        'the centre square of 640 x 480, scaled to 32 x 32, antialiased'
    """
    height, width = shape[:2]
    lines = []
    for share, fit in _parts(shape, size, rule):
        extent = f"{width} x {height}"
        if share != 1:
            extent = f"the middle {share:.0%} of {extent}"
        words = extent if height == width else f"{_IN_WORDS[fit]} of {extent}"
        if fit == "stretch" and height != width:
            words = f"{extent}, {_IN_WORDS[fit]}"
        side = share * (min if fit == "crop" else max)(height, width)
        how = ", antialiased" if side > size else ", enlarged" if side < size else ""
        lines.append(f"{words}, " + (f"scaled to {size} x {size}{how}" if how else "as it is"))
    return lines


def photograph_rule(data: Mapping[str, Any]) -> str:
    """How a model trained on `data` (a run's data.json) is shown a picture that is not square.

    As its training fitted such pictures; where the training had none, as serves photographs best.

    Example:
        >>> photograph_rule({"name": "cifar10", "fit": "crop"})
        'photo'
        >>> photograph_rule({"name": "flowers", "fit": "pad"})
        'pad'
    """
    return "photo" if data["name"] in SQUARE_DATA and data["fit"] == "crop" else data["fit"]


def _parts(shape: tuple[int, ...], size: int, rule: str) -> Iterator[tuple[float, str]]:
    """Of each view the share of the picture's sides and the fit of `fit_image`."""
    if rule not in RULES:
        raise UnknownNameError("fit", rule, RULES)
    height, width = shape[:2]
    if rule != "photo":
        yield 1, rule
        return
    for share in (1, ZOOM) if min(height, width) >= 2 * size else (1,):
        for fit in ("crop",) if height == width else ("crop", "stretch"):
            yield share, fit


def _middle(image: Pixels, share: float) -> Pixels:
    """The part around the centre with `share` of each side."""
    rows, columns = (round(share * side) for side in image.shape[:2])
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]
