"""Which score best tells images of none of the classes, for a run and sets of such images.

    python benchmarks/unknowns.py runs/quick-1 --set cifar100=folder/of/images --out unknowns.json

The known images are the run's validation images, which it was not trained on; test stays closed.
The scores are those of `cifarlab.unknowns`, fitted to training images; the threshold of each keeps
95 % of one half of validation, and is applied to the other half and to the unknown images.

The sets that need no download are those of `cifarlab.unknowns.pictures`: digits, textures, and
jigsaws of validation images. A set of your own is a folder of images, NAME=FOLDER, each seen once.
How well the score that a run decides by does is a matter of `cifarlab evaluate --unknown`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab import backend, unknowns
from cifarlab.data.holdout import random_keys
from cifarlab.errors import CifarlabError, UsageError
from cifarlab.files import write_json
from cifarlab.run import Run
from cifarlab.unknowns.pictures import digits, jigsaw, read_folder, textures

MIDDLE = "energy+middle"

Score = Callable[[tuple[np.ndarray, ...]], np.ndarray]  # of what `compare` sees of images


def compare(run: Run, sets: dict[str, Path], fitted: int, count: int) -> dict[str, Any]:
    """AUROC, and the share of unknown images that a threshold lets pass, by score and set."""
    backend.load(run.environment["backend"])
    from cifarlab.engine import forward, predict_logits
    from cifarlab.models.features import with_features
    from cifarlab.prepare import find_data

    model = run.load_model()
    last, middle = (forward(with_features(model, middle=half)) for half in (False, True))
    data = find_data(run)
    training, validation = data.carve(run.data["validation_fraction"], run.data["split_seed"])
    chosen = np.argsort(random_keys(len(training), seed=0))[:fitted]
    side = data.image_size
    shuffled = jigsaw(validation.images[:count])
    unknown = {
        "digits": digits(count, side),
        "textures": textures(count, side),
        **({"jigsaw": shuffled} if shuffled.shape[1] == side else {}),
        **{
            name: np.concatenate([*read_folder(folder, side, data.fit)][:count])
            for name, folder in sets.items()
        },
    }

    def seen(images: np.ndarray) -> tuple[np.ndarray, ...]:
        """Features before the head, logits, features of the middle."""
        both, half = (predict_logits(call, images, batch_size=250) for call in (last, middle))
        classes = data.num_classes
        return both[:, :-classes], both[:, -classes:], half[:, :-classes]

    features, logits, halves = seen(training.images[chosen])
    labels = training.labels[chosen]
    scores = _apart(unknowns.fit_scores(features, logits, labels), 0)
    scores |= _apart({MIDDLE: unknowns.energy_and_middle(halves, logits, labels)}, 2)
    known, strange = seen(validation.images), {n: seen(images) for n, images in unknown.items()}
    return {
        "run": run.name,
        "known": len(validation),
        "fitted": len(chosen),
        "unknown": {name: len(images) for name, images in unknown.items()},
        "scores": {name: _measure(score, known, strange) for name, score in scores.items()},
    }


def _apart(scores: dict[str, unknowns.Score], place: int) -> dict[str, Score]:
    """Scores of all that is seen, made of those of the features that stand at `place`."""
    return {name: lambda seen, s=score: s(seen[place], seen[1]) for name, score in scores.items()}


def _measure(score: Score, known: tuple, strange: dict[str, tuple]) -> dict[str, Any]:
    inside = score(known)
    bar, others = unknowns.threshold(inside[::2]), inside[1::2]
    found: dict[str, Any] = {"known_kept": float((others >= bar).mean())}
    for name, images in strange.items():
        outside = score(images)
        passed = float((outside >= bar).mean())
        found[name] = {"auroc": unknowns.auroc(inside, outside), "passed": passed}
    return found


def show(found: dict[str, Any]) -> None:
    """A row a score: AUROC and, in brackets, the share of unknown images taken for known."""
    sets = list(found["unknown"])
    print(f"\n{found['run']}: {found['known']} known, fitted to {found['fitted']} images")
    print(
        f"{'score':12}  {'kept':>6}"
        + "".join(f"{n + ' ' + str(found['unknown'][n]):>20}" for n in sets)
    )
    for name, row in found["scores"].items():
        cells = (f"{row[n]['auroc']:.4f} ({row[n]['passed']:6.1%})" for n in sets)
        print(f"{name:12}  {row['known_kept']:6.1%}" + "".join(f"{cell:>20}" for cell in cells))


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=FOLDER", dest="sets")
    parser.add_argument("--fit", type=int, default=10_000, help="training images to fit to")
    parser.add_argument("--count", type=int, default=1000, help="images of each set at most")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the figures as JSON")
    options = parser.parse_args(words)
    try:
        sets = {}
        for word in options.sets:
            name, equals, folder = word.partition("=")
            if not equals:
                raise UsageError(f"--set needs NAME=FOLDER. Received: {word}")
            sets[name] = Path(folder)
        results = []
        for path in options.runs:
            results.append(compare(Run(path), sets, options.fit, options.count))
            show(results[-1])
        if options.out:
            write_json(options.out, results)
    except CifarlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
