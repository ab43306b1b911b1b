"""The ways of `inference.py` that ask something else than Keras: the run's exports in ONNX Runtime,
and the same network in PyTorch, in a process of another interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab.errors import MissingExtraError, UsageError
from cifarlab.run import Run

BATCH_SIZES = (32, 125, 500, 2000)
Answer = Callable[[np.ndarray, int], np.ndarray]  # (uint8 (N, S, S, 3), images a call) -> (N, C)


def batches(images: np.ndarray, size: int) -> list[np.ndarray]:
    return [images[start : start + size] for start in range(0, len(images), size)]


def onnx_ways(run: Run, folder: Path) -> tuple[dict[str, Answer], dict[str, str]]:
    """Float32 and int8, as `cifarlab export` writes them; those that are missing with the reason.

    They are not certified here: `inference.py` compares the answers itself.
    """
    from cifarlab.export.building import build, float_path
    from cifarlab.export.cases import find_dataset
    from cifarlab.export.formats import get_format
    from cifarlab.export.quantize import calibration_images

    try:
        get_format("onnx")
    except MissingExtraError as error:
        return {}, {"ONNX Runtime": str(error), "ONNX int8": str(error)}
    dataset, why = find_dataset(run, None, int8=False)
    out = folder / "model.onnx"
    if dataset is None:
        build(run, "onnx", out)
        return {"ONNX Runtime": onnx_answer(out)}, {"ONNX int8": why}
    build(run, "onnx", out, calibration_images(dataset.train.images))
    return {"ONNX Runtime": onnx_answer(float_path(out)), "ONNX int8": onnx_answer(out)}, {}


def onnx_answer(path: Path) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answer(images: np.ndarray, size: int) -> np.ndarray:
        parts = (session.run(["logits"], {"images": part})[0] for part in batches(images, size))
        return np.concatenate(list(parts))

    return answer


def torch_way(run: Run, folder: Path, python: Path, opened: ExitStack) -> Answer:
    """`peer_torch.py` under the interpreter `python`, on the network that an export writes.

    The pixels go to it over a pipe, which costs it 0.1 ms an image at most.
    """
    from cifarlab.export.stock import deployable

    network = deployable(run.load_model(), int(run.data["image_size"]))
    layers, weights = describe(network)
    (folder / "network.json").write_text(json.dumps(layers), encoding="utf-8")
    np.savez(folder / "weights.npz", **weights)
    program = Path(__file__).with_name("peer_torch.py")
    words = [python, program, folder / "network.json", folder / "weights.npz"]
    peer = opened.enter_context(
        subprocess.Popen([*map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    assert peer.stdin
    assert peer.stdout
    opened.callback(peer.stdin.close)  # of which it ends
    given, taken = peer.stdin, peer.stdout
    if not (line := taken.readline()):
        raise UsageError(f"{python} cannot run {program.name}; the reason is above")
    print(f"PyTorch: {line.decode().strip()}", file=sys.stderr)

    def answer(images: np.ndarray, size: int) -> np.ndarray:
        given.write(b"%d %d %d\n" % (len(images), images.shape[1], size))
        given.write(np.ascontiguousarray(images).data)
        given.flush()
        count, classes = map(int, taken.readline().split())
        return np.frombuffer(taken.read(4 * count * classes), "<f4").reshape(count, classes)

    return answer


def describe(network: Any) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """The layers up to the logits in the order of their work, and their weights by name."""
    import keras

    makers = {id(layer.output): layer.name for layer in network.layers[:-1]}
    layers, weights = [], {}
    for layer in network.layers[1:]:
        if layer.name in ("temperature", "probabilities"):
            continue
        values = {f"{layer.name}/{i}": value for i, value in enumerate(layer.get_weights())}
        inputs: Sequence[Any] = keras.tree.flatten(layer.input)
        row = {"name": layer.name, "class": type(layer).__name__, "config": layer.get_config()}
        layers.append({**row, "inputs": [makers[id(x)] for x in inputs], "weights": [*values]})
        weights |= values
    return layers, weights
