"""What stands between a PyTorch script written for CUDA and this machine: see `peer.py`.

Everything is done by patching modules. torch is handed in: only a peer's interpreter has it.
"""

from __future__ import annotations

import io
import time
import types
from collections.abc import Callable
from typing import Any

# torch's functions that the scripts, or what they are likely to become, give a device.
FACTORIES = ("arange", "empty", "full", "ones", "rand", "randint", "randn", "tensor", "zeros")


def make_torchvision(
    torch: Any, images: dict[bool, tuple[Any, list[int]]], class_names: tuple[str, ...]
) -> dict[str, Any]:
    """Modules that stand in for what the scripts use of torchvision.

    Args:
        torch: the module.
        images: uint8 (N, 32, 32, 3) and N labels, of train (True) and of test (False).
        class_names: ten.
    """

    class CIFAR10:
        classes = class_names

        def __init__(self, root: str, train: bool = True, download: bool = False):
            self.data, self.targets = images[train]

    class Normalize:
        def __init__(self, mean: Any, std: Any):
            self.mean, self.std = mean, std

        def __call__(self, batch: Any) -> Any:
            like = {"dtype": batch.dtype, "device": batch.device}
            mean, std = (torch.as_tensor(v, **like).view(-1, 1, 1) for v in (self.mean, self.std))
            return (batch - mean) / std

    names = ("torchvision", "torchvision.datasets", "torchvision.transforms")
    whole, datasets, transforms = modules = [types.ModuleType(name) for name in names]
    vars(whole).update(datasets=datasets, transforms=transforms)
    vars(datasets).update(CIFAR10=CIFAR10)
    vars(transforms).update(Normalize=Normalize)
    return dict(zip(names, modules, strict=True))


def adapt_to_cpu(torch: Any, dtype: Any) -> None:
    """Patch torch for good, so that code written for CUDA in half precision runs on a CPU.

    Half becomes `dtype`, but for a network's parameters: bfloat16 has three bits fewer than half,
    too few to add a step of the optimizer to a weight. They stay float32, and convolutions and
    dense layers round them to the type of their input. Devices become the CPU, CUDA's events a wall
    clock, and compiling does nothing. Memory formats, fused optimizers and the arithmetic stay as
    written.
    """
    fill_type_tables(torch)
    module, tensor, functional = torch.nn.Module, torch.Tensor, torch.nn.functional
    module.half, module.cuda, module.compile = same, same, same
    for name in ("conv2d", "linear"):
        setattr(functional, name, rounding_weights(getattr(functional, name)))
    tensor.half, tensor.cuda, tensor.pin_memory = lambda self: self.to(dtype), same, same
    torch.half = dtype
    torch.compile = do_not_compile
    for name in FACTORIES:
        setattr(torch, name, on_cpu(getattr(torch, name)))
    load = torch.load
    torch.load = lambda file, map_location=None, **words: load(file, map_location="cpu", **words)
    torch.cuda.Event = WallClockEvent
    for name in ("synchronize", "empty_cache", "_sleep"):
        setattr(torch.cuda, name, lambda *_: None)


def fill_type_tables(torch: Any) -> None:
    """Have torch make the tables of types that it reads files with, while half is half."""
    file = io.BytesIO()
    torch.save(torch.zeros(1), file)
    file.seek(0)
    torch.load(file)


def same(self: Any, *_: Any, **__: Any) -> Any:
    return self


def rounding_weights(function: Callable) -> Callable:
    """`function` of (input, weight, bias, …) with weight and bias in the type of the input."""

    def call(x: Any, weight: Any, bias: Any = None, *rest: Any, **words: Any) -> Any:
        bias = None if bias is None else bias.to(x.dtype)
        return function(x, weight.to(x.dtype), bias, *rest, **words)

    return call


def do_not_compile(target: Any = None, **_: Any) -> Any:
    """``torch.compile`` as a function, as a decorator with or without arguments."""
    if target is None:
        return do_not_compile
    if hasattr(target, "modules"):  # compiled models are asked for the original one
        vars(target)["_orig_mod"] = target  # past torch's attributes: it is no part of itself
    return target


def on_cpu(factory: Callable) -> Callable:
    """`factory` with a CUDA device read as the CPU."""

    def make(*values: Any, **words: Any) -> Any:
        if str(words.get("device")).startswith("cuda"):
            words["device"] = "cpu"
        return factory(*values, **words)

    return make


class WallClockEvent:
    """``torch.cuda.Event`` where nothing runs asynchronously."""

    def __init__(self, **_: Any):
        self.time = 0.0

    def record(self) -> None:
        self.time = time.perf_counter()

    def elapsed_time(self, end: WallClockEvent) -> float:
        """Milliseconds until `end`."""
        return 1e3 * (end.time - self.time)
