"""How fast a trained run answers, by each way to ask it: many images at once, and one image.

    python benchmarks/inference.py runs/quick-1 --torch peer-venv/bin/python --out inference.json

The ways: Keras's ``model.predict`` and ``model(x)``, this package's compiled ``engine.forward`` and
its ``load_predictor`` (pictures in, predictions out, with all that is done to a picture), what
``cifarlab export`` writes in ONNX Runtime, float32 and int8, and the same network in PyTorch where
an interpreter that has it is named. Each gets the same random images, of which the speed does not
depend on what they show, and takes turns with the others; ratios are medians over the rounds. In
bulk each uses the batch size at which it was fastest on a part of the images.

All answers are compared with those of ``model.predict``: a way that gives others is left without a
ratio, and the exit status is 1. Of int8, which gives others by its nature, the difference is shown;
whether it serves, the certificate of an export says.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from inference_ways import BATCH_SIZES, Answer, batches, onnx_ways, torch_way
from measuring import Times, interleave, positive, timed

from cifarlab import backend
from cifarlab.errors import CifarlabError, UsageError
from cifarlab.metrics import softmax
from cifarlab.run import Run

REFERENCE = "model.predict"
# Of the largest logit: sums of float32 in another order differ by 1e-5 of it in deep networks.
TOLERANCE = 1e-4
COMPARED = 256  # images
INT8 = "ONNX int8"


@dataclass
class Way:
    """One way to ask a model.

    Attributes:
        answer: (uint8 (N, S, S, 3), images a call) -> (N, C).
        batch_sizes: to choose from.
        temperature: of its probabilities; None where it gives logits.
        exact: whether it should give what the reference gives, but for rounding in float32.
    """

    answer: Answer
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    temperature: float | None = None
    exact: bool = True


def main(words: list[str] | None = None) -> None:
    arguments = parse(words)
    try:
        result = measure(arguments)
    except CifarlabError as error:
        print(f"inference.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.exit(not all(row["agrees"] for row in result["ways"] if "agrees" in row))


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished training")
    parser.add_argument("--images", type=positive, default=10_000, help="in bulk")
    parser.add_argument("--rounds", type=positive, default=3, help="in bulk")
    parser.add_argument(
        "--single", type=positive, default=200, help="times that one image is asked"
    )
    parser.add_argument(
        "--torch", type=Path, metavar="PYTHON", help="an interpreter that has PyTorch and NumPy"
    )
    parser.add_argument("--out", type=Path, help="write the result as JSON here")
    return parser.parse_args(words)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Speed and agreement of each way as JSON-ready values."""
    with ExitStack() as opened:
        return measure_ways(arguments, opened)


def measure_ways(arguments: argparse.Namespace, opened: ExitStack) -> dict[str, Any]:
    """The same; what has to be closed afterwards goes into `opened`."""
    if arguments.out and not arguments.out.parent.is_dir():
        raise UsageError(f"there is no folder {arguments.out.parent} to write the result into")
    run = Run(arguments.run)
    backend.load()
    size = int(run.data["image_size"])
    shape = (arguments.images, size, size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ways, missing = make_ways(run, arguments.torch, opened)
    differences = compare(ways, images[:COMPARED])
    chosen = {name: best_batch_size(way, images) for name, way in ways.items()}
    bulk = interleave(
        {name: partial(way.answer, images, chosen[name]) for name, way in ways.items()},
        least=arguments.rounds,
    )
    one = images[:1]
    single = interleave(
        {name: partial(way.answer, one, 1) for name, way in ways.items()},
        least=arguments.single,
    )
    rows = [
        {
            "way": name,
            **differences[name],
            "batch_size": chosen[name],
            "images_per_second": median(len(images) / t for t in bulk[name]),
            "median_ms": 1e3 * median(single[name]),
            "p95_ms": 1e3 * float(np.quantile(single[name], 0.95)),
            **(ratios(name, bulk, single) if differences[name]["agrees"] else {}),
        }
        for name in ways
    ]
    return {
        "run": run.path.name,
        "recipe": run.recipe["name"],
        "image_size": size,
        "images": len(images),
        "rounds": arguments.rounds,
        "single": arguments.single,
        "ways": rows + [{"way": name, "missing": why} for name, why in missing.items()],
        "environment": backend.environment("float32"),
        "times": {"bulk": bulk, "single": single},
    }


def ratios(name: str, bulk: Times, single: Times) -> dict[str, float]:
    """How many times faster than the reference, in bulk and for one image."""
    return {
        key: median(a / b for a, b in zip(times[REFERENCE], times[name], strict=True))
        for key, times in (("bulk_ratio", bulk), ("single_ratio", single))
    }


def make_ways(
    run: Run, torch: Path | None, opened: ExitStack
) -> tuple[dict[str, Way], dict[str, str]]:
    """The ways there are by name, and those that are missing with the reason."""
    import keras

    from cifarlab.engine import forward, predict_logits
    from cifarlab.predict import load_predictor

    model = run.load_model()
    compiled, predictor = forward(model), load_predictor(run)

    def predict(images: np.ndarray, size: int) -> np.ndarray:
        return model.predict(images, batch_size=size, verbose=0)

    def call(images: np.ndarray, size: int) -> np.ndarray:
        parts = (model(batch, training=False) for batch in batches(images, size))
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in parts])

    def predictions(images: np.ndarray, _size: int) -> np.ndarray:
        return np.array([list((p.probabilities or {}).values()) for p in predictor(list(images))])

    ways = {
        REFERENCE: Way(predict),
        "model(x)": Way(call),
        "engine.forward": Way(lambda images, size: predict_logits(compiled, images, size)),
        # It chooses the size of its batches itself.
        "load_predictor": Way(predictions, batch_sizes=(1,), temperature=predictor.temperature),
    }
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
    found, missing = onnx_ways(run, folder)
    ways |= {name: Way(answer, exact=name != INT8) for name, answer in found.items()}
    if torch:
        ways["PyTorch"] = Way(torch_way(run, folder, torch, opened))
    else:
        missing["PyTorch"] = "name an interpreter that has it: --torch PYTHON"
    return ways, missing


def compare(ways: dict[str, Way], images: np.ndarray) -> dict[str, dict[str, Any]]:
    """The largest difference of each way's answers from the reference's, and whether they agree.

    A predictor's are probabilities, and compared as such.
    """
    size = len(images)
    logits = ways[REFERENCE].answer(images, size)
    found = {}
    for name, way in ways.items():
        expected = softmax(logits / way.temperature) if way.temperature else logits
        answer = way.answer(images, size)
        if answer.shape != expected.shape:
            raise UsageError(f"{name} gives answers of shape {answer.shape}, not {expected.shape}")
        difference = float(np.abs(answer - expected).max())
        most = max(1.0, float(np.abs(logits).max()))
        kind = "probabilities" if way.temperature else "logits"
        # Not `>`: a difference that is not a number agrees with nothing.
        agrees = difference <= TOLERANCE * most if way.exact else bool(np.isfinite(difference))
        found[name] = {"difference": difference, "of": kind, "agrees": agrees}
    return found


def best_batch_size(way: Way, images: np.ndarray) -> int:
    """The one of the way's batch sizes at which images take the least time."""
    if len(way.batch_sizes) == 1:
        return way.batch_sizes[0]
    seconds = {}
    for size in sorted({min(size, len(images)) for size in way.batch_sizes}):
        part = images[: max(size, min(BATCH_SIZES[-1], len(images)) // size * size)]
        way.answer(part[:size], size)  # compiles
        seconds[size] = timed(partial(way.answer, part, size))[0] / len(part)
    return min(seconds, key=seconds.__getitem__)


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    environment = result["environment"]
    print(f"{result['run']} ({result['recipe']}, {result['image_size']} pixels), ", end="")
    print(f"{result['images']:,} images in {result['rounds']} rounds, ", end="")
    print(f"then one image {result['single']} times")
    print(f"{environment['cpu']}, {environment['threads']} threads, ", end="")
    print(f"{environment['backend']}, float32; × is times as fast as {REFERENCE}\n")
    print(f"{'way':15} {'batch':>6} {'images/s':>10} {'×':>6}", end="")
    print(f" {'median ms':>10} {'p95 ms':>8} {'×':>6}  largest difference")
    for row in result["ways"]:
        if "missing" in row:
            print(f"{row['way']:15} {row['missing']}")
            continue
        bulk, single = (f"{row[k]:.2f}" if k in row else "" for k in ("bulk_ratio", "single_ratio"))
        size = "own" if row["way"] == "load_predictor" else row["batch_size"]
        print(f"{row['way']:15} {size:>6} {row['images_per_second']:10,.0f} {bulk:>6}", end="")
        print(f" {row['median_ms']:10.2f} {row['p95_ms']:8.2f} {single:>6}", end="")
        print(f"  {row['difference']:.1e} of {row['of']}", end="")
        print("" if row["agrees"] else ": ANSWERS DIFFER")


if __name__ == "__main__":
    main()
