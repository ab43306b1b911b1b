"""An exported file in its own runtime, with nothing of this package: run as a program, alone.

    python -P probe.py FORMAT FILE CASES.npz ANSWERS.npz [SLOWER_FILE]

``CASES.npz`` holds uint8 images (N, S, S, 3) under ``NAME@BATCH``; each is asked in batches of that
many. ``ANSWERS.npz`` gets ``NAME/probabilities`` and ``NAME/logits``, float32 (N, C). The last line
of the standard output is JSON: the runtime's name and version, and with a second file of the same
format how many times faster the first one answers, in turns.

It imports the runtime, NumPy and the standard library, and `cifarlab` cannot be imported in it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

OUTPUTS = ("probabilities", "logits")
Call = Callable[[np.ndarray], list[np.ndarray]]


def main(words: list[str]) -> None:
    """What the module says."""
    sys.modules["cifarlab"] = None  # type: ignore[assignment]  # an import of it fails
    sys.modules.setdefault("jax", None)  # type: ignore[arg-type]  # Keras loads it where it can
    kind, path, cases, answers, *slower = words
    call, runtime = OPEN[kind](path)
    result: dict[str, Any] = {"runtime": runtime}
    with np.load(cases) as file:
        images = {name: file[name] for name in file.files}
    found = {}
    for name, many in images.items():
        name, batch = name.split("@")
        for output, values in zip(OUTPUTS, ask(call, many, int(batch)), strict=True):
            found[f"{name}/{output}"] = values
    np.savez(answers, **found)
    if slower:
        many = next(iter(images.values()))
        result["speed"] = times_faster(call, OPEN[kind](slower[0])[0], many)
    print(json.dumps(result))


def ask(call: Call, images: np.ndarray, batch: int) -> list[np.ndarray]:
    """Each output for all images, which are given `batch` at a time."""
    parts = [call(images[start : start + batch]) for start in range(0, len(images), batch)]
    return [np.concatenate(output) for output in zip(*parts, strict=True)]


def times_faster(call: Call, other: Call, images: np.ndarray, seconds: float = 2.0) -> dict:
    """How many times faster than `other`, by calls in turns: the median over the rounds."""
    result: dict[str, Any] = {}
    for name, batch, repeat in (("single", 1, 10), ("bulk", 64, 1)):
        given = np.resize(images, (batch, *images.shape[1:]))
        ratios: list[float] = []
        began = time.perf_counter()
        while len(ratios) < 6 or time.perf_counter() - began < seconds:
            taken = [timed(each, given, repeat) for each in (call, other)]
            ratios.append(taken[1] / taken[0])
        result |= {f"{name}_batch": batch, f"{name}_ratio": median(ratios[1:])}
        result[f"{name}_rounds"] = len(ratios) - 1  # the first fills caches
    return result


def timed(call: Call, images: np.ndarray, repeat: int) -> float:
    """Seconds of `repeat` calls."""
    began = time.perf_counter()
    for _ in range(repeat):
        call(images)
    return time.perf_counter() - began


def open_onnx(path: str) -> tuple[Call, dict[str, str]]:
    """By ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    runtime = {"name": "onnxruntime", "version": onnxruntime.__version__}
    return lambda images: session.run(list(OUTPUTS), {"images": images}), runtime


def open_litert(path: str) -> tuple[Call, dict[str, str]]:
    """By the LiteRT interpreter that TensorFlow carries."""
    import tensorflow as tf

    run = tf.lite.Interpreter(path).get_signature_runner()

    def call(images: np.ndarray) -> list[np.ndarray]:
        outputs = run(images=images)
        return [outputs[name] for name in OUTPUTS]

    return call, {"name": "tf.lite.Interpreter", "version": tf.__version__}


def open_saved_model(path: str) -> tuple[Call, dict[str, str]]:
    """By ``tf.saved_model.load``."""
    import tensorflow as tf

    run = tf.saved_model.load(path).signatures["serving_default"]

    def call(images: np.ndarray) -> list[np.ndarray]:
        outputs = run(images=tf.constant(images))
        return [outputs[name].numpy() for name in OUTPUTS]

    return call, {"name": "tf.saved_model", "version": tf.__version__}


def open_keras(path: str) -> tuple[Call, dict[str, str]]:
    """By Keras with safe mode."""
    import keras

    model = keras.saving.load_model(path, safe_mode=True, compile=False)

    def call(images: np.ndarray) -> list[np.ndarray]:
        outputs = model(images, training=False)
        return [keras.ops.convert_to_numpy(outputs[name]) for name in OUTPUTS]

    return call, {"name": f"keras on {keras.backend.backend()}", "version": keras.__version__}


OPEN = {
    "onnx": open_onnx,
    "litert": open_litert,
    "saved-model": open_saved_model,
    "keras": open_keras,
}

if __name__ == "__main__":
    main(sys.argv[1:])
