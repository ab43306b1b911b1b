"""How well an audit finds wrong labels that the audited network itself was trained on.

    python benchmarks/flipped_labels.py --recipe quick --share 0.02 --out flips.json

A share of the training labels is changed to another class at random, a network is trained on them,
and its run is audited: an audit's features are then of a network that saw the wrong labels, as a
user's would be. A suspect that was not flipped counts as false, though CIFAR-10 has wrong labels of
its own. The test split is left out of the dataset, so it stays closed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarlab import backend
from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.errors import CifarlabError
from cifarlab.files import write_json
from cifarlab.recipes import get_recipe

if TYPE_CHECKING:
    from cifarlab.audit import Audit


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's own")
    parser.add_argument("--share", type=float, default=0.02, help="of labels that are flipped")
    parser.add_argument("--seed", type=int, default=0, help="of the flips and the training")
    parser.add_argument("--keep", type=Path, required=True, metavar="RUN", help="the run folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    arguments = parser.parse_args(words)
    try:
        document = measure(arguments)
    except CifarlabError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    write_json(arguments.out, document)
    for name, value in document["figures"].items():
        print(f"{name:24} {value:.3f}" if isinstance(value, float) else f"{name:24} {value}")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Flip, train, audit, count."""
    backend.load()
    from cifarlab.audit import audit
    from cifarlab.train import train

    recipe = get_recipe(arguments.recipe)
    clean = load_dataset(arguments.data, image_size=recipe.image_size)
    data, flipped = with_flips(clean, arguments.share, arguments.seed)
    run = train(data, recipe, seed=arguments.seed, epochs=arguments.epochs, out=arguments.keep)
    found = audit(run, data=data)
    return {
        "settings": {
            "data": arguments.data,
            "recipe": recipe.name,
            "share": arguments.share,
            "seed": arguments.seed,
            "images": len(data.train),
        },
        "environment": run.environment,
        "figures": figures(found, flipped, [clean.class_names[y] for y in clean.train.labels]),
    }


def with_flips(data: Dataset, share: float, seed: int) -> tuple[Dataset, np.ndarray]:
    """`data` without its test split, a `share` of the training labels flipped; and their rows."""
    random, count = np.random.default_rng(seed), len(data.train)
    rows = np.sort(random.choice(count, round(share * count), replace=False))
    labels = data.train.labels.copy()
    labels[rows] = (labels[rows] + random.integers(1, data.num_classes, len(rows))) % (
        data.num_classes
    )
    changed = Dataset(
        name=f"{data.name}-flipped",
        source=data.source,
        class_names=data.class_names,
        train=Split(data.train.images, labels),
    )
    return changed, rows


def figures(found: Audit, flipped: np.ndarray, truth: list[str]) -> dict[str, Any]:
    """Precision and recall of the suspects, also of as many of the first as were flipped."""
    suspects = [f for f in found.findings if f.kind == "label" and f.split == "train"]
    hits = np.isin([f.index for f in suspects], flipped)
    right = sum(f.suggested == truth[f.index] for f, hit in zip(suspects, hits, strict=True) if hit)
    return {
        "flipped": len(flipped),
        "suspects": len(suspects),
        "recall": float(hits.sum() / max(len(flipped), 1)),
        "precision": float(hits.mean()) if len(hits) else 0.0,
        "precision of the first": float(hits[: len(flipped)].mean()) if len(hits) else 0.0,
        "suggested rightly": float(right / max(hits.sum(), 1)),
    }


if __name__ == "__main__":
    main()
