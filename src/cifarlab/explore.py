"""What is in a dataset, before anything is trained on it: counts, samples, colours, duplicates.

It opens the test split, but only to count and compare: no test image is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.data import Dataset, Split, channel_statistics, load_dataset
from cifarlab.data.repeats import repeated
from cifarlab.files import write_json

SAMPLES = 8  # images a class in the sample grid
BINS = 32  # of the brightness histogram, over 0 to 255
EXAMPLES = 20  # duplicates and odd images named in full


@dataclass(frozen=True)
class Exploration:
    """What `explore` found; `to_json` is all of it as plain values.

    Args:
        dataset: its name; ``fingerprint``, ``image_size`` (pixels), ``class_names`` and ``notes``
            are the dataset's.
        counts: split to class name to number of images.
        channels: ``mean`` and ``std`` of red, green and blue over train, pixels in [0, 1].
        brightness: mean of an image's pixels, in [0, 255]: ``mean`` and ``std`` over train,
            ``per_class`` means, ``edges`` (`BINS` + 1) and ``histogram``, split to images a bin.
        duplicates: images with the very same pixels: ``within`` (split to images that repeat an
            earlier one), ``across`` (``"train/test"``: images of the second with an equal in the
            first), ``conflicting`` (groups whose labels differ), ``groups`` and ``examples``.
        odd_sizes: images that fitting changed much: ``not_square``, ``too_small`` (a side below
            the image size), ``smallest`` and ``largest`` sides, ``examples``; zeros and None where
            all images came in the final size.
        figures: PNG files written.
    """

    dataset: str
    fingerprint: str
    image_size: int
    class_names: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    channels: dict[str, list[float]]
    brightness: dict[str, Any]
    duplicates: dict[str, Any]
    odd_sizes: dict[str, Any]
    notes: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it as values that JSON has."""
        return asdict(self)


def explore(dataset: Dataset | str | Path, out: Path | None = None) -> Exploration:
    """Look at a dataset.

    Args:
        dataset: a `Dataset` or what `load_dataset` takes.
        out: folder for ``explore.json`` and the figures (``classes.png``, ``samples.png``,
            ``brightness.png``); none are made without it.

    Raises:
        DataError: the dataset cannot be read.
        CifarlabError: ``out`` cannot be written.

    Example:
        >>> found = explore("digits")
        >>> found.counts["train"]["7"], found.duplicates["across"]
        (143, {'train/test': 0})
    """
    if not isinstance(dataset, Dataset):
        dataset = load_dataset(dataset)
    splits = {"train": dataset.train}
    if dataset.validation is not None:
        splits["validation"] = dataset.validation
    if dataset.has_test:
        splits["test"] = dataset.open_test()
    channels, brightness = _colours(splits, dataset.class_names)
    found = Exploration(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        image_size=dataset.image_size,
        class_names=dataset.class_names,
        counts={name: _counts(split, dataset.class_names) for name, split in splits.items()},
        channels=channels,
        brightness=brightness,
        duplicates=_duplicates(splits, dataset.class_names),
        odd_sizes=_odd_sizes(splits, dataset.image_size),
        notes=dataset.notes,
    )
    if out is not None:
        found = replace(found, figures=tuple(_draw(found, dataset.train, Path(out))))
        write_json(Path(out) / "explore.json", found.to_json())
    return found


def _counts(split: Split, class_names: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(class_names))
    return dict(zip(class_names, counts.tolist(), strict=True))


def _colours(
    splits: dict[str, Split], class_names: tuple[str, ...]
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Channel means and deviations of train, and the brightness of every split."""
    mean, std = (np.divide(part, 255) for part in channel_statistics(splits["train"].images))
    bright = {
        name: split.images.mean(axis=(1, 2, 3), dtype=np.float64) for name, split in splits.items()
    }
    train, labels = bright["train"], splits["train"].labels
    counts = np.bincount(labels, minlength=len(class_names))
    sums = np.bincount(labels, weights=train, minlength=len(class_names))
    edges = np.linspace(0, 255, BINS + 1)
    channels = {"mean": mean.tolist(), "std": std.tolist()}
    return channels, {
        "mean": float(train.mean()),
        "std": float(train.std()),
        "per_class": dict(zip(class_names, (sums / np.maximum(counts, 1)).tolist(), strict=True)),
        "edges": edges.tolist(),
        "histogram": {
            name: np.histogram(values, edges)[0].tolist() for name, values in bright.items()
        },
    }


def _duplicates(splits: dict[str, Split], class_names: tuple[str, ...]) -> dict[str, Any]:
    """Images with the very same pixels, within a split and across splits."""
    places = [(name, i) for name, split in splits.items() for i in range(len(split))]
    images = (image for split in splits.values() for image in split.images)
    groups = [[places[row] for row in group] for group in repeated(images)]
    by_split = [{name: [i for s, i in group if s == name] for name in splits} for group in groups]
    within = {name: sum(max(len(members[name]) - 1, 0) for members in by_split) for name in splits}
    across = {
        f"{first}/{second}": sum(len(m[second]) for m in by_split if m[first])
        for first, second in combinations(splits, 2)
    }
    conflicting = sum(
        len({int(splits[name].labels[i]) for name, i in group}) > 1 for group in groups
    )
    examples = [[_image(splits, *place, class_names) for place in g] for g in groups[:EXAMPLES]]
    return {
        "within": within,
        "across": across,
        "groups": len(groups),
        "conflicting": conflicting,
        "examples": examples,
    }


def _image(
    splits: dict[str, Split], name: str, i: int, class_names: tuple[str, ...] = ()
) -> dict[str, Any]:
    """One image as the report names it: split, index, label and, if it has one, its file."""
    split = splits[name]
    file = None if split.names is None else str(split.names[i])
    found: dict[str, Any] = {"split": name, "index": i, "file": file}
    if class_names:
        found["label"] = class_names[split.labels[i]]
    return found


def _odd_sizes(splits: dict[str, Split], image_size: int) -> dict[str, Any]:
    """Images that are not square, or smaller than they are made."""
    fitted = {n: s.original_sizes for n, s in splits.items() if s.original_sizes is not None}
    if not fitted:
        return dict.fromkeys(("not_square", "too_small"), 0) | {
            "smallest": None,
            "largest": None,
            "examples": [],
        }
    skewed = {name: sizes[:, 0] != sizes[:, 1] for name, sizes in fitted.items()}
    small = {name: sizes.min(axis=1) < image_size for name, sizes in fitted.items()}
    examples = [
        _image(splits, name, int(i)) | {"height": int(sizes[i, 0]), "width": int(sizes[i, 1])}
        for name, sizes in fitted.items()
        for i in np.flatnonzero(skewed[name] | small[name])[:EXAMPLES]
    ]
    return {
        "not_square": int(sum(odd.sum() for odd in skewed.values())),
        "too_small": int(sum(odd.sum() for odd in small.values())),
        "smallest": int(min(sizes.min() for sizes in fitted.values())),
        "largest": int(max(sizes.max() for sizes in fitted.values())),
        "examples": examples[:EXAMPLES],
    }


def _samples(train: Split, num_classes: int) -> NDArray[np.uint8]:
    """Images spread evenly over each class: uint8 (C, K, H, W, 3), white where one has fewer."""
    members = [np.flatnonzero(train.labels == label) for label in range(num_classes)]
    columns = min(SAMPLES, max(map(len, members)))
    grid = np.full((num_classes, columns, *train.images.shape[1:]), 255, dtype=np.uint8)
    for label, indices in enumerate(members):
        shown = min(columns, len(indices))
        chosen = indices[np.linspace(0, len(indices) - 1, shown).astype(int)]
        grid[label, :shown] = train.images[chosen]
    return grid


def _draw(found: Exploration, train: Split, out: Path) -> list[str]:
    """Write the figures; their paths."""
    from cifarlab import plots  # brings matplotlib

    counts = {name: list(by_class.values()) for name, by_class in found.counts.items()}
    shares = {
        name: (np.array(bins) / max(sum(bins), 1)).tolist()
        for name, bins in found.brightness["histogram"].items()
    }
    figures = {
        "classes.png": plots.class_counts(counts, found.class_names),
        "samples.png": plots.class_samples(
            _samples(train, len(found.class_names)), found.class_names
        ),
        "brightness.png": plots.brightness_histogram(shares, found.brightness["edges"]),
    }
    for name, figure in figures.items():
        plots.save_png(figure, out / name)
    return [str(out / name) for name in figures]
