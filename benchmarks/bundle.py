"""Put an exported model into the package, with its card.

    cifarlab evaluate runs/quick-1 && cifarlab robustness runs/quick-1 --split test
    cifarlab export runs/quick-1 --format onnx --out model.onnx
    python benchmarks/bundle.py runs/quick-1 model.onnx --name cifar10 --limit "At 32 x 32 ..."

The card's figures are those of the run (result.json, robustness.json), so measure first. With
--float16 weights are stored in half the bytes and widened when the file is opened, for a model that
is too large otherwise; the largest change of a probability on random images, printed and kept in
the card, was 5e-4 for `quick`. Without it the file is the export itself, and its certificate holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab import bundled
from cifarlab.errors import CifarlabError, ModelFileError, UsageError
from cifarlab.files import write_bytes, write_json
from cifarlab.run import Run
from cifarlab.runtimes import open_model

MOST_BYTES = 10 * 10**6
LARGE = 256  # numbers: smaller tensors (biases, scales) save nothing and stay as they are
TRIED = 256  # random images on which the two files are compared
LIMITS = (
    "It knows ten classes; what is none of them should be called so, and often is not.",
    "It sees 32 x 32 pixels: small or distant objects are gone before it looks.",
    "CIFAR-10 holds mostly whole objects in the middle of the image, in daylight.",
)


def half_precision(content: bytes) -> bytes:
    """An ONNX file with its large float32 weights stored in float16 and cast back.

    A runtime folds the casts into the weights while it opens the file, so speed is the same.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(content)
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LARGE:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ModelFileError(
                f"the weight {tensor.name} is too large for float16; leave --float16"
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}:half"))
        casts.append(helper.make_node("Cast", [f"{name}:half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def change(before: Path, after: Path) -> float:
    """The largest change of a probability on random images, smooth and noisy ones."""
    models = open_model(before), open_model(after)
    size, random = models[0].info.image_size, np.random.default_rng(0)
    cells = random.integers(0, 256, (TRIED, 4, 4, 3), np.uint8)
    images = cells.repeat(-(-size // 4), 1).repeat(-(-size // 4), 2)[:, :size, :size]
    images[::2] = random.integers(0, 256, images[::2].shape, np.uint8)
    first, second = (model.probabilities(images) for model in models)
    return float(np.abs(first - second).max())


def figures(run: Run) -> Iterator[dict[str, Any]]:
    """Those that the run holds, each with its interval and n."""
    result = run.result
    if "accuracy" not in result or result["split"] != "test":
        raise UsageError(
            f"{run.path} has no test figures; measure with: cifarlab evaluate {run.path}"
        )
    accuracy = {"value": result["accuracy"], "ci95": list(result["accuracy_ci95"])}
    views = result["tta"]
    name = "test accuracy" + ("" if views == "none" else f", views averaged: {views}")
    yield {"name": name, **accuracy, "n": result["n"]}
    yield {
        "name": "calibration error on test",
        "value": result["ece"],
        "ci95": None,
        "n": result["n"],
    }
    path = run.path / "robustness.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        name = f"mean accuracy under corruptions, {found['split']}"
        yield {
            "name": name,
            "value": found["mean_corruption_accuracy"],
            "ci95": found["mean_corruption_accuracy_ci95"],
            "n": found["n"],
        }


def card(
    run: Run, content: bytes, summary: str, limits: list[str], changed: float
) -> dict[str, Any]:
    """All that `cifarlab.bundled.FIELDS` names, and where it was trained."""
    data, environment = run.data, run.environment
    shown: Mapping[str, Any] = {
        k: data[k] for k in ("name", "fingerprint", "class_names", "counts")
    }
    return {
        "summary": summary,
        "data": shown,
        "recipe": {"seed": run.result["seed"], **run.recipe},
        "figures": list(figures(run)),
        "limits": [*limits, *LIMITS],
        "licence": "Apache-2.0, as cifarlab; CIFAR-10 is by Alex Krizhevsky (2009)",
        "trained": {k: environment[k] for k in ("cpu", "device", "precision", "versions", "date")},
        "largest_change_by_storage": changed,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def bundle(
    run: Run, exported: Path, name: str, summary: str, limits: list[str], half: bool
) -> Path:
    """Write ``<name>.onnx``, then its card; the file that they were made of stays as it is."""
    if list(open_model(exported).info.class_names) != run.data["class_names"]:
        raise UsageError(f"{exported} and {run.path} have different classes")
    content = exported.read_bytes()
    path, described = (bundled.FOLDER / f"{name}{suffix}" for suffix in (".onnx", ".json"))
    stored = half_precision(content) if half else content
    if len(stored) > MOST_BYTES:
        raise UsageError(
            f"{len(stored):,} bytes are more than the {MOST_BYTES:,} that a bundle may be"
        )
    write_bytes(path, stored)
    changed = change(exported, path)
    write_json(described, card(run, stored, summary, limits, changed))
    print(f"{path}: {len(stored):,} bytes; largest change of a probability {changed:.1e}")
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("exported", type=Path, help="its export, .onnx")
    parser.add_argument("--name", default="cifar10")
    parser.add_argument(
        "--summary", default="The ten classes of CIFAR-10, for photographs as well."
    )
    parser.add_argument("--limit", action="append", default=[], help="a sentence for the card")
    parser.add_argument("--float16", action="store_true", help="store weights in half the bytes")
    options = parser.parse_args(arguments)
    try:
        bundle(
            *(Run(options.run), options.exported, options.name, options.summary, options.limit),
            half=options.float16,
        )
    except CifarlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
