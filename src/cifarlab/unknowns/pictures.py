"""Pictures of none of a model's classes: what `known` is measured against.

Three sets need no download. `digits` are scikit-learn's; `textures` are drawn here; `jigsaw` are
images of the classes themselves, cut into pieces that are shuffled: their colours and edges, but no
object. Any other set is a folder of images, in any layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from cifarlab.data import load_dataset
from cifarlab.data.decode import Pixels, decode_image
from cifarlab.data.find import find_images
from cifarlab.data.views import fit_views
from cifarlab.errors import DataError, UsageError

BUILT_IN = ("digits", "jigsaw", "textures")
LIMIT = 1000  # pictures of a built-in set at most
PIECES = 4  # of a jigsaw, along a side

# Known images uint8 (N, S, S, 3) -> the pictures of a set, each as its views, uint8 (V, S, S, 3).
PictureSet = Callable[[Pixels], list[Pixels]]


def open_set(source: str | Path, size: int, rule: str) -> PictureSet:
    """A set of pictures of other things. All that can be wrong with it is said here.

    Args:
        source: one of `BUILT_IN`, or a folder of images. A name wins; write ``./digits`` for a
            folder of that name.
        size: side S of the model's images in pixels.
        rule: how a picture of another shape is shown to the model, one of
            `cifarlab.data.views.RULES`.

    Returns:
        a function of the known images, since of them jigsaws are made; the other sets ignore them.

    Raises:
        DataError: it is neither.
        UsageError: images of that size cannot be cut into jigsaws.
        ImageError: the folder holds no image, or one that cannot be read.

    Example:
        >>> pictures = open_set("textures", 8, "crop")(np.zeros((1, 8, 8, 3), np.uint8))
        >>> len(pictures), pictures[0].shape
        (1000, (1, 8, 8, 3))
    """
    if source == "jigsaw":
        if size % PIECES:
            raise UsageError(
                f"jigsaw cuts images into {PIECES} x {PIECES} equal pieces, and those of {size} x "
                f"{size} pixels do not divide so; leave it out"
            )
        return lambda known: _single(jigsaw(known[:: -(-len(known) // LIMIT)]))
    if source == "textures":
        pictures = _single(textures(LIMIT, size))
    elif source == "digits":
        pictures = _single(digits(LIMIT, size))
    else:
        pictures = list(read_folder(source, size, rule))
    return lambda _: pictures


def read_folder(folder: str | Path, size: int, rule: str) -> Iterable[Pixels]:
    """The views of each image under a folder, uint8 (V, S, S, 3), in the order of their names.

    Raises:
        DataError: there is no such folder.
        ImageError: it holds no image, or one that cannot be read.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(
            f"there is no folder {path}; unknown images are a folder of them, or one of the sets "
            f"{', '.join(BUILT_IN)}"
        )
    return (fit_views(decode_image(image), size, rule) for image in find_images([path]))


def digits(count: int, side: int) -> Pixels:
    """The first `count` handwritten digits of scikit-learn's, uint8 (N, S, S, 3); 1,438 at most."""
    return load_dataset("digits", image_size=side).train.images[:count]


def textures(count: int, side: int, seed: int = 0) -> Pixels:
    """Images of no object, uint8 (N, S, S, 3): a third each stripes, checks and coloured noise.

    Stripes are sines of random direction, with 2 to 8 periods a side; checks are the sign of two
    such at right angles; noise has a power spectrum of 1 / f**2, as photographs have. Each goes
    from one random colour to another.

    Example:
        >>> textures(3, 16).shape
        (3, 16, 16, 3)
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    images = []
    for i in range(count):
        angle, periods, phase = random.uniform([0, 2, 0], [np.pi, 8, 2 * np.pi])
        along, across = (
            np.sin(2 * np.pi * periods * (x * np.cos(a) + y * np.sin(a)) + phase)
            for a in (angle, angle + np.pi / 2)
        )
        field = (along, np.sign(along * across), _noise(random, side))[i % 3]
        span = np.ptp(field) or 1.0  # a check may be larger than a very small image
        share = (field - field.min()) / span
        first, second = random.uniform(0, 255, (2, 3))
        images.append(first + share[:, :, None] * (second - first))
    return np.stack(images).round().astype(np.uint8)


def jigsaw(images: Pixels, seed: int = 0) -> Pixels:
    """Images (N, S, S, 3) cut into `PIECES` by `PIECES` pieces, shuffled in each image.

    Where `PIECES` does not divide S, the rest at the right and below is left out.

    Example:
        >>> jigsaw(np.zeros((2, 10, 10, 3), np.uint8)).shape
        (2, 8, 8, 3)
    """
    random, (n, side) = np.random.default_rng(seed), images.shape[:2]
    piece = side // PIECES
    whole = images[:, : piece * PIECES, : piece * PIECES]
    parts = whole.reshape(n, PIECES, piece, PIECES, piece, 3).swapaxes(2, 3)
    parts = parts.reshape(n, PIECES**2, piece, piece, 3)
    parts = np.stack([part[random.permutation(PIECES**2)] for part in parts])
    grid = parts.reshape(n, PIECES, PIECES, piece, piece, 3).swapaxes(2, 3)
    return grid.reshape(n, piece * PIECES, piece * PIECES, 3)


def _noise(random: np.random.Generator, side: int) -> np.ndarray:
    rows, columns = np.fft.fftfreq(side), np.fft.rfftfreq(side)
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = np.inf
    return np.fft.irfft2(np.fft.rfft2(random.normal(size=(side, side))) / frequency, s=(side, side))


def _single(images: Pixels) -> list[Pixels]:
    """Images of the model's size, each its own only view."""
    return list(images[:, None])
