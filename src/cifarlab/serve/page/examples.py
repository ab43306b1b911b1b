"""Pictures to try, drawn here line by line: nobody's photographs, so nobody's rights.

Each is a flat drawing on a soft ground, simple on purpose: it shows how the page works. How well a
model does is seen on photographs.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 320  # pixels of a finished picture
FINE = 3  # drawn so many times larger, then averaged: smooth edges

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

WHITE, STEEL, DARK, GLASS = (246, 246, 244), (168, 176, 184), (38, 42, 48), (62, 84, 104)
SKY = ((92, 148, 208), (206, 226, 240))
GRASS, ASPHALT, SEA = (104, 134, 74), (112, 112, 114), (34, 84, 124)


@dataclass(frozen=True)
class Example:
    """A picture to try.

    Attributes:
        name: of its file, without ending.
        shows: what it is, in words.
        label: the class it belongs to; None where it is of none of CIFAR-10's.
    """

    name: str
    shows: str
    label: str | None


class _Canvas:
    """Shapes in units of the picture's side, from 0 to 1 to the right and down."""

    def __init__(self, above: Colour, below: Colour) -> None:
        """A ground that fades from one colour to the other."""
        self.side = SIDE * FINE
        share = np.linspace(0, 1, self.side)[:, None, None]
        ground = np.array(above) * (1 - share) + np.array(below) * share  # (S, 1, 3)
        self.image = Image.fromarray(np.repeat(ground.astype(np.uint8), self.side, axis=1))
        self.pen = ImageDraw.Draw(self.image)

    def area(self, points: Points, colour: Colour) -> None:
        self.pen.polygon([(x * self.side, y * self.side) for x, y in points], colour)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        corners = [v * self.side for v in (x, y, x + width, y + height)]
        radius = min(width, height, 0.06) * self.side / 4
        self.pen.rounded_rectangle(corners, radius, colour)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.pen.ellipse([v * self.side for v in (x - rx, y - ry, x + rx, y + ry)], colour)

    def soften(self, share: float) -> None:
        """Blur what is drawn so far: it lies behind."""
        self.image = self.image.filter(ImageFilter.GaussianBlur(share * self.side))
        self.pen = ImageDraw.Draw(self.image)

    def wheel(self, x: float, y: float, radius: float) -> None:
        self.oval(x, y, radius, radius, DARK)
        self.oval(x, y, radius * 0.55, radius * 0.55, STEEL)

    def jpeg(self) -> bytes:
        buffer = io.BytesIO()
        self.image.resize((SIDE, SIDE), Image.Resampling.BOX).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()


def _airplane() -> _Canvas:
    on = _Canvas(*SKY)
    for x, y, size in ((0.2, 0.8, 0.12), (0.34, 0.84, 0.16), (0.85, 0.2, 0.13), (0.72, 0.24, 0.1)):
        on.oval(x, y, size, size * 0.4, WHITE)
    on.soften(0.025)
    on.area([(0.16, 0.26), (0.24, 0.26), (0.36, 0.47), (0.2, 0.5)], (186, 52, 44))  # fin
    on.area([(0.44, 0.46), (0.52, 0.46), (0.6, 0.3), (0.56, 0.3)], STEEL)  # the far wing
    on.oval(0.53, 0.5, 0.4, 0.062, WHITE)
    on.area([(0.14, 0.5), (0.5, 0.44), (0.5, 0.56), (0.3, 0.55)], WHITE)
    on.area([(0.12, 0.46), (0.2, 0.46), (0.3, 0.51), (0.24, 0.52)], STEEL)  # tail plane
    on.area([(0.42, 0.53), (0.6, 0.53), (0.36, 0.78), (0.3, 0.78)], STEEL)  # the near wing
    on.oval(0.5, 0.62, 0.06, 0.028, (120, 128, 138))  # engine
    for x in np.linspace(0.34, 0.76, 12):
        on.oval(float(x), 0.485, 0.008, 0.011, GLASS)
    on.area([(0.845, 0.465), (0.89, 0.478), (0.86, 0.492), (0.83, 0.487)], GLASS)
    return on


def _ship() -> _Canvas:
    on = _Canvas(*SKY)
    on.area([(0, 0.6), (1, 0.6), (1, 1), (0, 1)], SEA)
    on.soften(0.006)
    for x, y, width in ((0.04, 0.84, 0.2), (0.5, 0.88, 0.3), (0.7, 0.8, 0.2), (0.2, 0.93, 0.24)):
        on.box(x, y, width, 0.012, (86, 132, 166))
    on.area([(0.06, 0.53), (0.95, 0.53), (0.86, 0.74), (0.13, 0.74)], (40, 52, 70))  # hull
    on.area([(0.12, 0.7), (0.88, 0.7), (0.86, 0.74), (0.13, 0.74)], (150, 46, 38))
    on.box(0.16, 0.44, 0.56, 0.1, WHITE)
    on.box(0.2, 0.36, 0.4, 0.1, WHITE)
    on.box(0.24, 0.29, 0.22, 0.09, WHITE)
    on.area([(0.48, 0.2), (0.57, 0.2), (0.58, 0.37), (0.47, 0.37)], (190, 62, 44))  # funnel
    on.box(0.3, 0.12, 0.012, 0.18, DARK)  # mast
    for y, first, last in ((0.475, 0.2, 0.68), (0.395, 0.24, 0.44), (0.325, 0.27, 0.43)):
        for x in np.arange(first, last, 0.045):
            on.box(float(x), y, 0.024, 0.02, GLASS)
    return on


def _road() -> _Canvas:
    on = _Canvas(*SKY)
    for x, size in ((0.08, 0.15), (0.3, 0.11), (0.66, 0.13), (0.9, 0.18)):
        on.oval(x, 0.5, size, size, (74, 104, 62))
    on.area([(0, 0.55), (1, 0.55), (1, 0.66), (0, 0.66)], GRASS)
    on.area([(0, 0.64), (1, 0.64), (1, 1), (0, 1)], ASPHALT)
    on.soften(0.012)
    return on


def _automobile() -> _Canvas:
    on, red = _road(), (186, 34, 36)
    on.oval(0.5, 0.79, 0.42, 0.03, (70, 70, 72))  # shadow
    on.area([(0.26, 0.5), (0.36, 0.35), (0.62, 0.35), (0.75, 0.5)], red)
    on.area([(0.31, 0.49), (0.38, 0.38), (0.47, 0.38), (0.47, 0.49)], GLASS)
    on.area([(0.5, 0.49), (0.5, 0.38), (0.6, 0.38), (0.69, 0.49)], GLASS)
    on.area([(0.09, 0.53), (0.2, 0.49), (0.75, 0.49), (0.9, 0.56), (0.92, 0.73), (0.08, 0.73)], red)
    on.box(0.08, 0.68, 0.84, 0.06, (140, 24, 28))
    on.oval(0.89, 0.6, 0.022, 0.028, (250, 236, 180))  # lamp
    on.box(0.485, 0.53, 0.006, 0.15, (140, 24, 28))  # door
    on.wheel(0.26, 0.73, 0.085)
    on.wheel(0.75, 0.73, 0.085)
    return on


def _truck() -> _Canvas:
    on = _road()
    on.oval(0.5, 0.83, 0.46, 0.03, (70, 70, 72))
    on.box(0.04, 0.24, 0.6, 0.45, WHITE)  # the load
    on.box(0.04, 0.44, 0.6, 0.05, (44, 96, 156))
    on.area([(0.66, 0.34), (0.83, 0.34), (0.92, 0.52), (0.95, 0.55), (0.95, 0.74), (0.66, 0.74)],
            (44, 96, 156))  # fmt: skip
    on.area([(0.72, 0.38), (0.82, 0.38), (0.88, 0.52), (0.72, 0.52)], GLASS)
    on.box(0.04, 0.69, 0.91, 0.06, DARK)
    for x in (0.16, 0.34, 0.8):
        on.wheel(x, 0.76, 0.075)
    return on


def _cup() -> _Canvas:
    on, glaze = _Canvas((222, 212, 196), (206, 192, 172)), (52, 120, 124)
    on.area([(0, 0.66), (1, 0.66), (1, 1), (0, 1)], (146, 108, 76))  # table
    on.soften(0.008)
    on.oval(0.5, 0.83, 0.3, 0.05, (112, 80, 56))
    on.oval(0.71, 0.53, 0.13, 0.13, glaze)  # handle
    on.oval(0.71, 0.53, 0.08, 0.08, (212, 200, 182))
    on.area([(0.24, 0.36), (0.72, 0.36), (0.65, 0.82), (0.31, 0.82)], glaze)
    on.oval(0.48, 0.82, 0.17, 0.035, glaze)
    on.oval(0.48, 0.36, 0.24, 0.06, (84, 156, 158))
    on.oval(0.48, 0.37, 0.21, 0.045, (70, 42, 28))
    return on


def examples_for(class_names: Sequence[str]) -> list[Example]:
    """The examples that suit a model: those of its classes, and after them one of none.

    Args:
        class_names: (C,) of the model. A model that has no class of a drawing gets no example.

    Example:
        >>> [each.name for each in examples_for(["ship", "whale"])]
        ['ship', 'cup']
        >>> examples_for(["0", "1"])
        []
    """
    fitting = [each for each in _DRAWN if each.label in class_names]
    return [*fitting, *(each for each in _DRAWN if each.label is None)] if fitting else []


@cache
def draw(example: Example) -> bytes:
    """The picture as the bytes of a JPEG file of `SIDE` x `SIDE` pixels, the same each time.

    Example:
        >>> draw(examples_for(["ship"])[0])[:2]
        b'\\xff\\xd8'
    """
    return _DRAWN[example]().jpeg()


_DRAWN: dict[Example, Callable[[], _Canvas]] = {
    Example("airplane", "an airplane", "airplane"): _airplane,
    Example("ship", "a ship", "ship"): _ship,
    Example("automobile", "an automobile", "automobile"): _automobile,
    Example("truck", "a truck", "truck"): _truck,
    Example("cup", "a cup", None): _cup,
}
