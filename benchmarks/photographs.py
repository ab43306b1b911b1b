"""How best to show a photograph to a model that was trained on small square images.

    python benchmarks/photographs.py runs/quick-1 runs/quick-2 --photos photos --out scaling.json

``photos`` holds a folder a class; photographs in folders of other names are passed over. Each way
makes one view or several of a photograph, whose probabilities are averaged. What is told of each:
how many are right, and the mean log loss, which sees more of 30 photographs than a count does; the
mean over the models and its standard deviation among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cifarlab.data.decode import Pixels, decode_image, fit_image
from cifarlab.data.find import find_images
from cifarlab.data.views import fit_views
from cifarlab.errors import CifarlabError
from cifarlab.files import write_json
from cifarlab.metrics import softmax
from cifarlab.predict import Predictor, load_predictor

Way = Callable[[Pixels, int], Pixels]  # (H, W, 3) and S -> (V, S, S, 3)


def centre(image: Pixels, rows: int, columns: int) -> Pixels:
    """The part (rows, columns, 3) around the centre."""
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]


def crop_by(filter: Image.Resampling) -> Way:
    """The centre square, scaled by one of Pillow's filters, all of which are antialiased."""

    def way(image: Pixels, size: int) -> Pixels:
        side = min(image.shape[:2])
        square = Image.fromarray(np.ascontiguousarray(centre(image, side, side)))
        return np.array(square.resize((size, size), filter))[None]

    return way


def near(fit: str, share: float) -> Way:
    """`fit` of the middle, `share` of each side."""

    def way(image: Pixels, size: int) -> Pixels:
        rows, columns = (round(share * side) for side in image.shape[:2])
        return fit_image(centre(image, rows, columns), size, fit)[None]

    return way


def together(*ways: Way) -> Way:
    """The views of all."""
    return lambda image, size: np.concatenate([way(image, size) for way in ways])


FILTERS = ("LANCZOS", "BICUBIC", "HAMMING", "BOX", "BILINEAR")
WAYS: dict[str, Way] = {
    **{f"crop, {name.lower()}": crop_by(Image.Resampling[name]) for name in FILTERS},
    **{fit: near(fit, 1.0) for fit in ("crop", "stretch", "pad")},
    **{f"crop, middle {share:.0%}": near("crop", share) for share in (0.9, 0.8, 0.7)},
    "stretch, middle 80%": near("stretch", 0.8),
    "crop + stretch": together(near("crop", 1.0), near("stretch", 1.0)),
    "crop + its middle 80%": together(near("crop", 1.0), near("crop", 0.8)),
    "photo": lambda image, size: fit_views(image, size, "photo"),
}


def measure(predictor: Predictor, photos: list[Pixels], labels: np.ndarray) -> dict[str, Any]:
    """Of each way: how many photographs are right, and their mean log loss."""
    found = {}
    for name, way in WAYS.items():
        views = [way(photo, predictor.image_size) for photo in photos]
        ends = np.cumsum([len(some) for some in views])[:-1]
        rows = np.split(softmax(predictor.calibrated(np.concatenate(views))), ends)
        p = np.stack([some.mean(axis=0) for some in rows])
        loss = -np.log(np.maximum(p[np.arange(len(p)), labels], 1e-12)).mean()
        found[name] = {"right": int((p.argmax(axis=1) == labels).sum()), "log_loss": float(loss)}
    return found


def labelled(folder: Path, class_names: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    """Each photograph whose folder is called like a class, with that class."""
    for path in find_images([folder]):
        if path.parent.name in class_names:
            yield path, class_names.index(path.parent.name)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--photos", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    found = {}
    try:
        for model in options.models:
            predictor = load_predictor(model)
            files = list(labelled(options.photos, predictor.class_names))
            photos, labels = (
                [decode_image(path) for path, _ in files],
                np.array([n for _, n in files]),
            )
            found[model] = measure(predictor, photos, labels)
    except CifarlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"{len(labels)} photographs, {len(found)} models")
    for name in WAYS:
        right, loss = ([row[name][key] for row in found.values()] for key in ("right", "log_loss"))
        print(
            f"{name:24} right {np.mean(right):6.2f} ± {np.std(right):.2f}  loss {np.mean(loss):.3f}"
        )
    if options.out:
        write_json(options.out, {"photographs": len(labels), "models": found})


if __name__ == "__main__":
    main()
