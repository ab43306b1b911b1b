"""A picture in a terminal: each character cell is two pixels, an upper and a lower half."""

from __future__ import annotations

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from cifarlab.data.decode import Pixels, fit_image

LARGE, SMALL = 32, 16  # sides in pixels: of one picture, of each of several
MOST = 12  # as many pictures still fit on a screen or two


def can_draw(console: Console) -> bool:
    """Whether `console` is a terminal that shows any colour; a file or a pipe shows none."""
    return console.is_terminal and console.color_system == "truecolor"


def half_blocks(image: Pixels, side: int) -> Text:
    """`image`, uint8 (H, W, 3), as `side` columns and half as many lines of "▀".

    The character's own colour is the upper pixel, its background the lower one.

    Example:
        >>> import numpy as np
        >>> half_blocks(np.zeros((32, 32, 3), np.uint8), 4).plain
        '▀▀▀▀\\n▀▀▀▀'
    """
    pixels = fit_image(image, side, "stretch").tolist()
    text = Text()
    for line, (upper, lower) in enumerate(zip(pixels[::2], pixels[1::2], strict=True)):
        text.append("\n" if line else "")
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
    return text
