"""The images that flipped from A to B: a table of all of them and pictures of some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cifarlab.compare import Comparison, Pair
from cifarlab.data import load_dataset
from cifarlab.errors import CifarlabError
from cifarlab.files import write_csv
from cifarlab.run import Run

SHOWN = 24  # images of each direction
COLUMNS = ("a", "b", "index", "label", "right", "answer_a", "answer_b")


def write_flips(found: Comparison, out: str | Path) -> list[Path]:
    """Write ``flips.csv``, and ``flips-<number of the pair>.png`` where images can be had.

    Test stays closed: of its images those are shown that the runs kept for their reports. Other
    splits are read from the data of the first run that still finds it.

    Args:
        found: what `compare` returned; over seeds a row has the answers of all runs.
        out: a folder, made if need be.

    Returns:
        The files that were written, the table first.

    Raises:
        CifarlabError: the folder cannot be written.

    Example:
        >>> import cifarlab
        >>> labels = np.array([0, 0, 1])
        >>> np.savez(tmp_path / "a.npz", predictions=np.array([0, 0, 0]), labels=labels)
        >>> np.savez(tmp_path / "b.npz", predictions=np.array([0, 1, 0]))
        >>> found = cifarlab.compare(tmp_path / "a.npz", tmp_path / "b.npz")
        >>> (path,) = write_flips(found, tmp_path / "flips")
        >>> path.read_text().splitlines()[1]
        'a.npz,b.npz,1,0,a,0,1'
    """
    from cifarlab import plots  # brings matplotlib

    out = Path(out)
    rows = [row for pair in found.pairs for row in _rows(pair)]
    write_csv(out / "flips.csv", COLUMNS, rows)
    written, images = [out / "flips.csv"], _images(found)
    for number, pair in enumerate(found.pairs, 1):
        shown = [i for side in (pair.only_b, pair.only_a) for i in first_known(side, images)]
        if shown:
            titles = [_title(pair, index) for index in shown]
            better = [bool(index in pair.only_b) for index in shown]
            pictures = np.stack([images[index] for index in shown])
            figure = plots.image_grid(pictures, titles, columns=8, correct=better)
            written.append(out / f"flips-{number}.png")
            plots.save_png(figure, written[-1], dpi=100)
    return written


def _rows(pair: Pair) -> list[list[object]]:
    names = pair.a.class_names
    right = dict.fromkeys(pair.only_a.tolist(), "a")
    right |= dict.fromkeys(pair.only_b.tolist(), "b")
    return [
        [pair.a.name, pair.b.name, index, names[pair.labels[index]], right[index]]
        + [" ".join(names[c] for c in each.predictions[:, index]) for each in (pair.a, pair.b)]
        for index in sorted(right)
    ]


def first_known(side: NDArray[np.int64], images: Mapping[int, object]) -> list[int]:
    """The first of the images of one direction, int64 (K,), that `images` has.

    Example:
        >>> first_known(np.array([3, 5, 8]), {8: "ship", 3: "cat"})
        [3, 8]
    """
    return [index for index in side.tolist() if index in images][:SHOWN]


def kept_images(every: Iterable[Mapping[str, NDArray]]) -> dict[int, NDArray[np.uint8]]:
    """Index to image, uint8 (S, S, 3), that predictions of the same images keep for the reports.

    Example:
        >>> images = np.zeros((1, 2, 2, 3), np.uint8)
        >>> kept = kept_images([{}, {"shown_index": np.array([7]), "shown_images": images}])
        >>> [(index, image.shape) for index, image in kept.items()]
        [(7, (2, 2, 3))]
    """
    kept: dict[int, NDArray[np.uint8]] = {}
    for arrays in every:
        if "shown_index" in arrays:
            kept |= zip(arrays["shown_index"].tolist(), arrays["shown_images"], strict=True)
    return kept


def _title(pair: Pair, index: int) -> str:
    """Two short lines: where it is and what it shows, and what each takes it for.

    Over seeds the second line says how many of the runs have it right.
    """
    names, sides = pair.a.class_names, (pair.a, pair.b)
    words = [names[each.predictions[0, index]] for each in sides]
    if pair.seeds:
        words = [f"{each.runs_right[index]} of {len(each.members)}" for each in sides]
    return f"{index}: {names[pair.labels[index]]}\n{' → '.join(words)}"


def _images(found: Comparison) -> dict[int, NDArray[np.uint8]]:
    """Index to image, uint8 (S, S, 3), as far as they can be had without opening test."""
    runs = [m.run for each in found.contestants for m in each.members if m.run is not None]
    if found.split != "test":
        for run in runs:
            images = _read(run, found)
            if images is not None:
                return dict(enumerate(images))
    return kept_images(run.predictions(found.split) for run in runs)


def _read(run: Run, found: Comparison) -> NDArray[np.uint8] | None:
    """The images of the run's training or validation split; None where its data has changed, or is
    not on this machine: pictures are not worth a download."""
    known = run.data
    shape = {"image_size": known["image_size"], "fit": known["fit"]}
    try:
        data = load_dataset(known["source"], **shape, download=False)
        splits = data.carve(known["validation_fraction"], known["split_seed"])
    except CifarlabError:
        return None
    split = splits[0 if found.split == "train" else 1]
    # That these are the images is seen from the labels, in order, which all contestants share.
    return split.images if np.array_equal(split.labels, found.labels) else None
