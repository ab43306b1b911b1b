"""Run a public PyTorch speed-run script for CIFAR-10, given by path, and print one JSON line a run.

    python benchmarks/peer.py airbench94_muon.py --seed 0 --runs 1
    python benchmarks/peer.py airbench94_muon.py --device cuda --runs 10

Written for ``airbench94_muon.py`` and ``airbench96_faster.py`` of KellerJordan/cifar10-airbench
and for ``cifar10_speedrun.py`` of hiverge/cifar10-speedrun; they are no part of this repository.
Run this with an interpreter that has torch; cifarlab's own needs none.

The script itself is executed, not a copy. On ``--device cuda`` it runs as it is, with a stand-in
for torchvision that serves `cifarlab.load_dataset`'s CIFAR-10. On ``--device cpu`` torch is patched
first, because the scripts are written for CUDA alone: see `adapt_to_cpu`. Their 200 runs become
``--runs``, each begun with its own seed; their warm-up run is left out on a CPU, where nothing is
compiled, and timed apart on CUDA. A script prints to the standard error.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import contextlib
import importlib.util
import json
import os
import random
import re
import resource
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from peer_adapt import adapt_to_cpu, make_torchvision

STARTED = time.perf_counter()  # before torch is imported, which a user waits for as well
AUTHORS_RUNS = 200  # the count in each script's last lines, which `--runs` takes the place of
EPOCHS = r"total_train_steps = ceil\([\d.]+ \* len\(train_loader\)\)"
NOTE = (
    "The script opens the test images itself as often as its authors wrote: its accuracy by epoch "
    "is on test, and its own clock leaves evaluation by epoch out."
)


def main() -> None:
    arguments = parse_arguments()
    script = arguments.script.resolve()
    source = read_script(script, arguments.epochs)
    torch = load_torch(arguments.device)
    sys.modules.update(make_torchvision(torch, *load_images(arguments.limit_images)))
    if arguments.device == "cpu":
        adapt_to_cpu(torch, getattr(torch, arguments.dtype))
    sys.argv = [str(script)]  # the scripts read their own source there
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)  # they write their copy of the data and their logs where they stand
        os.mkdir("cifar10")
        try:
            execute(source, script, Recorder(torch, arguments, sys.__stdout__))
        finally:
            os.chdir(script.parent)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("script", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; one more for each")
    parser.add_argument("--runs", type=positive, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--dtype", choices=["bfloat16", "float32"], default="bfloat16", help="on a CPU, for half"
    )
    parser.add_argument("--epochs", type=positive, help="for a trial: in place of the script's")
    parser.add_argument("--limit-images", type=positive, help="for a trial: of train and of test")
    return parser.parse_args()


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)  # argparse makes a line of it
    return number


def read_script(path: Path, epochs: int | None) -> str:
    """The script's text; with `epochs`, that number stands where the script has its own.

    The number is written into an expression within `main`, out of reach of any patch; it is the one
    place where text is replaced. `airbench96_faster.py` keeps it in `hyp`: see `execute`.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}; give the path of a peer's script")
    if epochs is None or re.search(r"^hyp = ", source, re.MULTILINE):
        return source
    changed, count = re.subn(EPOCHS, f"total_train_steps = {epochs} * len(train_loader)", source)
    if count != 1:
        sys.exit(f"{path}: its number of epochs is not where it was; run it without --epochs")
    return changed


def load_torch(device: str) -> Any:
    try:
        import torch
    except ImportError:
        sys.exit(f"{sys.executable} has no torch; run this with an interpreter that has it")
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device here; take --device cpu")
    return torch


def load_images(limit: int | None) -> tuple[dict[bool, tuple[Any, list[int]]], tuple[str, ...]]:
    """Images uint8 (N, 32, 32, 3) and labels of train (True) and test (False); the class names."""
    if importlib.util.find_spec("cifarlab") is None:  # a peer's interpreter need not have it
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
    from cifarlab.data import load_dataset
    from cifarlab.errors import CifarlabError

    try:
        data = load_dataset("cifar10")
        splits = {True: data.train, False: data.open_test()}
    except CifarlabError as error:
        sys.exit(str(error))
    arrays = {
        train: (split.images[:limit].copy(), split.labels[:limit].tolist())
        for train, split in splits.items()
    }
    return arrays, data.class_names


class Recorder:
    """Sees what a script prints and how it calls its `main`; writes a JSON line after each run."""

    def __init__(self, torch: Any, arguments: argparse.Namespace, out: Any):
        self.torch, self.arguments, self.out = torch, arguments, out
        self.done, self.images, self.began = 0, 0, 0.0
        self.rows: list[dict[str, Any]] = []
        self.warm_up: float | None = None

    def runs(self, *bounds: int) -> range:
        """`range`, with `--runs` in place of the authors' count.

        A script without a warm-up run gets one run more on CUDA, because its first one compiles.
        """
        if bounds != (AUTHORS_RUNS,):
            return builtins.range(*bounds)
        first = self.arguments.device == "cuda" and self.warm_up is None
        return builtins.range(self.arguments.runs + first)

    def wrap_main(self, main: Callable) -> Callable:
        """The script's `main`, seeded, timed, and followed by its line."""

        def run(name: Any, *rest: Any) -> Any:
            if name == "warmup" and self.arguments.device == "cpu":
                self.warm_up = 0.0
                return None
            first = self.arguments.device == "cuda" and self.warm_up is None
            seed = self.arguments.seed + self.done
            random.seed(seed)  # airbench96 draws torch's seeds from here
            self.torch.manual_seed(seed)
            self.rows, self.images, self.began = [], 0, time.perf_counter()
            result = main(name, *rest)
            seconds = time.perf_counter() - self.began
            if first:
                self.warm_up = seconds
            else:
                self.write(seed, seconds)
                self.done += 1
            return result

        return run

    def wrap_print(self, print_details: Callable) -> Callable:
        """The script's printing of a row, which has all of `main`'s variables at hand."""

        def print_and_keep(variables: dict[str, Any], is_final_entry: bool) -> None:
            clock = variables.get("time_seconds", variables.get("total_time_seconds"))
            accuracy = variables["tta_val_acc" if is_final_entry else "val_acc"]
            epoch = variables["epoch"]
            now = time.perf_counter()
            self.rows.append(
                {
                    "epoch": "final" if is_final_entry else epoch + 1,
                    "seconds": clock,
                    "seconds_from_main": now - self.began,
                    "seconds_from_start": now - STARTED,
                    "accuracy": accuracy,
                    "accuracy_without_tta": variables["val_acc"],
                }
            )
            print_details(variables, is_final_entry)

        return print_and_keep

    def wrap_loader(self, loader: type) -> None:
        """Count the training images that `loader` yields; a trial's batches must fit its images."""
        initialize, iterate = loader.__init__, loader.__iter__  # type: ignore[misc, attr-defined]
        limit = self.arguments.limit_images or sys.maxsize

        def small(self_: Any, path: str, train: bool = True, batch_size: int = 500, **w: Any):
            initialize(self_, path, train, min(batch_size, limit), **w)

        def counted(self_: Any) -> Iterator[Any]:
            for batch in iterate(self_):
                self.images += len(batch[-1])
                yield batch

        loader.__init__, loader.__iter__ = small, counted  # type: ignore[misc, attr-defined]

    def write(self, seed: int, seconds: float) -> None:
        if not self.rows or self.rows[-1]["epoch"] != "final":
            sys.exit("the script printed no final row: is it one of those named in --help?")
        arguments, final = self.arguments, self.rows[-1]
        trial = {"epochs": arguments.epochs, "limit_images": arguments.limit_images}
        epochs = [row for row in self.rows if row["epoch"] != "final"]
        line = {
            "script": arguments.script.name,
            "seed": seed,
            "epochs": epochs or None,  # cifar10_speedrun prints its last row only
            "accuracy": final["accuracy"],
            "accuracy_without_tta": final["accuracy_without_tta"],
            "time_seconds": final["seconds"],
            "wall_seconds": seconds,
            "seconds_from_start": time.perf_counter() - STARTED,
            "warm_up_seconds": self.warm_up or None,
            "images": self.images,
            # Without its last evaluation, where the script tells how long it trained.
            "images_per_second": self.images / (epochs or [final])[-1]["seconds"],
            **describe_device(self.torch, arguments),
            "trial": trial if any(trial.values()) else None,
            "note": NOTE,
        }
        print(json.dumps(line), file=self.out, flush=True)


def describe_device(torch: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    cuda = arguments.device == "cuda"
    kibibytes = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibytes
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "dtype": "float16" if cuda else arguments.dtype,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if cuda else memory,
    }


def execute(source: str, path: Path, recorder: Recorder) -> None:
    """Run the script: its definitions, then, with `recorder` in between, its main block."""
    tree = ast.parse(source, str(path))
    block = [node for node in tree.body if isinstance(node, ast.If) and is_main_guard(node)]
    # A module of its own, for torch's compiler looks functions up by their module's name.
    module = types.ModuleType("peer_script")
    sys.modules[module.__name__] = module
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), vars(module))
    loaders = [v for k, v in vars(module).items() if k.endswith("CifarLoader")]
    missing = {"main", "print_training_details"} - set(vars(module))
    if missing or len(block) != 1 or len(loaders) != 1:
        sys.exit(f"{path} is not built like the scripts that --help names; it cannot be measured")
    recorder.wrap_loader(loaders[0])
    names = vars(module)
    names["print_training_details"] = recorder.wrap_print(names["print_training_details"])
    if recorder.arguments.epochs and "hyp" in names:
        names["hyp"]["opt"]["train_epochs"] = recorder.arguments.epochs
    main = recorder.wrap_main(names["main"])
    own = {**names, "range": recorder.runs, "main": main}  # for the main block alone
    exec(compile(ast.Module(block[0].body, []), str(path), "exec"), own)
    if recorder.done != recorder.arguments.runs:
        sys.exit(f"{path}: it made {recorder.done} runs, not the {recorder.arguments.runs} asked")


def is_main_guard(node: ast.If) -> bool:
    return ast.unparse(node.test).replace('"', "'") == "__name__ == '__main__'"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
