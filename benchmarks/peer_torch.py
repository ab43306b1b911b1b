"""A network in PyTorch that answers over pipes: the peer of `inference.py`, which starts it.

    python benchmarks/peer_torch.py NETWORK.json WEIGHTS.npz

The network is a list of layers as Keras configures them; `inference.py` writes it from the network
that an export writes, so both compute the same with batch normalisation folded into the
convolutions. A request is a line ``N SIZE IMAGES_A_CALL`` and the pixels, uint8 (N, S, S, 3); the
answer is a line ``N C`` and the logits, float32. Needs torch and NumPy only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

ACTIVATIONS = {"relu": F.relu, "silu": F.silu, "linear": lambda x: x}
Weights = list[torch.Tensor]


def convolve(config: dict[str, Any], weights: Weights) -> Callable:
    kernel = weights[0].permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    bias = weights[1] if config["use_bias"] else None
    after, stride = ACTIVATIONS[config["activation"]], config["strides"]
    sides = kernel.shape[2:]

    def call(x: torch.Tensor) -> torch.Tensor:
        if config["padding"] == "same":  # TensorFlow's: what is odd goes to the end
            rows, columns = (
                max((-(-side // step) - 1) * step + k - side, 0)
                for side, step, k in zip(x.shape[2:], stride, sides, strict=True)
            )
            if rows % 2 or columns % 2:
                up, left = rows // 2, columns // 2
                x = F.pad(x, (left, columns - left, up, rows - up))
                return after(F.conv2d(x, kernel, bias, stride))
            return after(F.conv2d(x, kernel, bias, stride, (rows // 2, columns // 2)))
        return after(F.conv2d(x, kernel, bias, stride))

    return call


def dense(config: dict[str, Any], weights: Weights) -> Callable:
    kernel, after = weights[0].T.contiguous(), ACTIVATIONS[config["activation"]]
    bias = weights[1] if config["use_bias"] else None
    return lambda x: after(F.linear(x, kernel, bias))


def rescale(config: dict[str, Any], _weights: Weights) -> Callable:
    scale, offset = (
        torch.tensor(config[name], dtype=torch.float32).reshape(-1, 1, 1)
        if isinstance(config[name], list)
        else config[name]
        for name in ("scale", "offset")
    )
    return lambda x: x * scale + offset


MAKE: dict[str, Callable[[dict[str, Any], Weights], Callable]] = {
    "Conv2D": convolve,
    "Dense": dense,
    "Rescaling": rescale,
    "Activation": lambda config, _: ACTIVATIONS[config["activation"]],
    "ReLU": lambda *_: F.relu,
    "MaxPooling2D": lambda config, _: (
        lambda x: F.max_pool2d(x, config["pool_size"], config["strides"])
    ),
    "GlobalMaxPooling2D": lambda *_: lambda x: x.amax((2, 3)),
    "GlobalAveragePooling2D": lambda *_: lambda x: x.mean((2, 3)),
    "Flatten": lambda *_: lambda x: x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x,
    "Add": lambda *_: lambda *inputs: sum(inputs[1:], inputs[0]),
}


def main(network: str, weights: str) -> None:
    with open(network, encoding="utf-8") as file:
        layers = json.load(file)
    with np.load(weights) as arrays:
        values = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    calls = []
    for layer in layers:
        own = [values[name] for name in layer["weights"]]
        calls.append((MAKE[layer["class"]](layer["config"], own), layer["inputs"], layer["name"]))

    def forward(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float()  # NHWC is torch's channels_last
        made = {"images": x}
        for call, inputs, name in calls:
            made[name] = x = call(*(made[each] for each in inputs))
        return x.numpy()

    with torch.inference_mode():
        serve(forward)


def serve(forward: Callable[[np.ndarray], np.ndarray]) -> None:
    """Answer requests until there are none."""
    taken, given = sys.stdin.buffer, sys.stdout.buffer
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    while line := taken.readline():
        count, side, batch = map(int, line.split())
        images = np.frombuffer(bytearray(taken.read(count * side * side * 3)), np.uint8)
        images = images.reshape(count, side, side, 3)
        parts = [forward(images[start : start + batch]) for start in range(0, count, batch)]
        logits = np.concatenate(parts).astype("<f4")
        given.write(b"%d %d\n" % logits.shape + logits.tobytes())
        given.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
