"""Pictures in an answer: PNG as data URLs, so that a page needs no second request for them."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

OVERLAY_SIDE = 256  # pixels: a heat map is smooth, and is looked at larger than 32 x 32
_FOR, _AGAINST = np.array([213, 94, 0]), np.array([0, 114, 178])  # as in `cifarlab.panels`
_MOST_COLOUR = 0.9


def png_data_url(pixels: NDArray[np.uint8]) -> str:
    """uint8 (H, W, 3) as a PNG in a ``data:`` URL.

    Example:
        >>> png_data_url(np.zeros((2, 2, 3), np.uint8)).startswith("data:image/png;base64,iVBOR")
        True
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def heat_overlay(view: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The view in pale grey under its heat map: orange speaks for the class, blue against it.

    Args:
        view: uint8 (S, S, 3).
        heat: (S, S), positive for the class; the strongest value gets the fullest colour.

    Returns:
        uint8 (O, O, 3), where O is `OVERLAY_SIDE`.

    Example:
        >>> heat = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
        >>> first, *_, last = heat_overlay(np.full((8, 8, 3), 99, np.uint8), heat).reshape(-1, 3)
        >>> bool(first[2] > first[0]), bool(last[0] > last[2])
        (True, True)
    """
    size = (OVERLAY_SIDE, OVERLAY_SIDE)
    large = Image.fromarray(view).convert("L").resize(size, Image.Resampling.NEAREST)
    grey = 255 - 0.75 * (255 - np.asarray(large, np.float32)[..., None])
    strength = heat / max(float(np.abs(heat).max()), 1e-6)
    smooth = Image.fromarray(strength.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    strength = np.asarray(smooth)[..., None]
    opacity = _MOST_COLOUR * np.abs(strength)
    colour = np.where(strength > 0, _FOR, _AGAINST)
    return np.rint(grey * (1 - opacity) + colour * opacity).astype(np.uint8)
