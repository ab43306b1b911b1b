"""How close a training step comes to the machine's matrix products, and which part of it takes how
long.

    python benchmarks/step.py --recipe quick --size 32 --seconds 20 --out step.json

The limit is the rate of one product of two large square matrices, in the precision of the step and
in float32. The step is the one that the engine runs. Its parts are compiled as the engine compiles
them, each alone: data and augmentation; forward; forward and backward; update. All take turns in
one process, so a slower minute slows them all, and shares are medians of each turn's ratio.

The work that is counted is that of convolutions and dense layers: two operations a multiply-add,
once forward, once for the gradient of the kernel where it is trained, once for the gradient of the
input where anything before it is trained. Images are random pixels: the speed is that of any.

``--verbose-onednn FILE`` adds where the time of one step goes by oneDNN's own account, from a
process of its own whose full account is kept in FILE. Primitives that run side by side slow each
other, and their times then add up to more than the step's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onednn
from measuring import Times, interleave, peak_memory_bytes, positive, repeat, timed
from step_parts import (
    count_flops,
    jax_limit,
    jax_parts,
    keep_weights,
    tensorflow_limit,
    tensorflow_parts,
)

from cifarlab import backend
from cifarlab.errors import CifarlabError, UsageError
from cifarlab.recipes import get_recipe, replace_fields

CLASSES = 10
MARK = "measured step"


@dataclass
class Work:
    """A step ready to be measured: the one function that touches the engine makes it.

    Attributes:
        model: what is trained, its batch_size and precision.
        size: pixels a side of the images that the model sees.
        run: trains this many steps, as the engine does, and waits for them.
        parts: name to a function that computes this part of one step, and waits for it.
        limit: seconds of one matrix product: (side, dtype) -> function that computes it and waits.
    """

    model: Any
    batch_size: int
    precision: str
    size: int
    steps: int
    run: Callable[[int], Any]
    parts: Callable[[], dict[str, Callable[[], Any]]]
    limit: Callable[[int, str], Callable[[], Any]]


def main(words: list[str] | None = None) -> None:
    arguments = parse(words)
    try:
        result = measure(arguments)
    except CifarlabError as error:
        print(f"step.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if result is None:
        return
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="quick", help="a name or a recipe.json")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--size", type=positive, help="pixels a side; the recipe's largest")
    parser.add_argument("--batch", type=positive, help="images a step; the recipe's")
    parser.add_argument("--images", type=positive, default=45_000, help="to draw batches from")
    parser.add_argument("--seconds", type=float, default=20, help="to measure for, at least")
    parser.add_argument("--product", type=positive, default=4096, help="side of the matrices")
    parser.add_argument("--verbose-onednn", type=Path, metavar="FILE", dest="verbose")
    parser.add_argument("--out", type=Path, help="write the result as JSON here")
    parser.add_argument("--one-step", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Everything about one step as JSON-ready values."""
    name = backend.load()
    if arguments.verbose and name != "tensorflow":
        raise UsageError(f"--verbose-onednn needs TensorFlow; this is {name}: leave it out")
    for path in (arguments.out, arguments.verbose):
        if path and not path.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} to write {path.name} into")
    from cifarlab.engine.loop import SECONDS_A_CALL  # loads Keras

    work = make_work(arguments)
    flops = count_flops(work.model, work.size)
    work.run(1)  # compiles
    seconds, _ = timed(lambda: work.run(1))
    if arguments.one_step:
        print(f"{MARK} begins", flush=True)
        seconds, _ = timed(lambda: work.run(1))
        print(f"{MARK} took {seconds}", flush=True)
        return None
    peak = peak_memory_bytes()  # before the parts, which a training does not hold
    count = min(max(1, int(SECONDS_A_CALL / seconds)), work.steps)
    calls: dict[str, Callable[[], Any]] = {"step": lambda: work.run(count)}
    for part, call in work.parts().items():
        calls[part] = partial(repeat, call, count)
    for dtype in dict.fromkeys([work.precision, "float32"]):
        calls[f"limit {dtype}"] = work.limit(arguments.product, dtype)
    rounds = interleave(calls, arguments.seconds, before=keep_weights(work.model))
    times = {n: [t / (1 if "limit" in n else count) for t in ts] for n, ts in rounds.items()}
    result = {
        "recipe": str(arguments.recipe),
        "settings": arguments.settings,
        "size": work.size,
        "batch_size": work.batch_size,
        "steps_a_call": count,
        "product": arguments.product,
        **summarize(times, flops, work, 2 * arguments.product**3),
        "peak_memory_bytes": peak,
        "environment": backend.environment(work.precision),
        "times": times,
    }
    if arguments.verbose:
        result["onednn"] = account(arguments)
    return result


def make_work(arguments: argparse.Namespace) -> Work:
    """Model, optimizer and compiled step of the recipe on random images."""
    from cifarlab.data import Split, channel_statistics
    from cifarlab.engine.loop import make_steps
    from cifarlab.engine.program import Sums, plan_epoch
    from cifarlab.optim import make_optimizer
    from cifarlab.prepare import make_model, make_program

    settings = dict(item.partition("=")[::2] for item in arguments.settings)
    recipe = replace_fields(get_recipe(arguments.recipe), settings)
    size = arguments.size or max(recipe.sizes or (recipe.image_size,))
    # A recipe that changes the size does so in the step; any other gets images of the size.
    changes = {"sizes": f"[{size}]"} if recipe.sizes else {"image_size": str(size)}
    if arguments.batch:
        changes["batch_size"] = str(arguments.batch)
    recipe = replace_fields(recipe, changes)

    random.seed(0)  # of Keras's initializers
    generator = np.random.default_rng(0)
    shape = (arguments.images, recipe.image_size, recipe.image_size, 3)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    training = Split(images, generator.integers(0, CLASSES, len(images)))
    mean, std = channel_statistics(images[:1000])
    description = {
        "name": recipe.model,
        "num_classes": CLASSES,
        "image_size": recipe.image_size,
        "mean": mean,
        "std": std,
        **recipe.model_options,
    }
    model = make_model(recipe, description, images)
    program = make_program(recipe, model, training, CLASSES)
    optimizer = make_optimizer(recipe, program.steps * recipe.epochs)
    model.compile(optimizer, program.loss, jit_compile=False)
    optimizer.build(model.trainable_variables)
    steps, epoch = make_steps(program), plan_epoch(program, 0, 0, recipe.epochs)
    steps.start_epoch(epoch)
    compiled = jax_parts if backend.configure() == "jax" else tensorflow_parts
    return Work(
        model=model,
        batch_size=program.batch_size,
        precision=program.precision,
        size=size,
        steps=program.steps,
        run=lambda count: steps.run(0, count, Sums()),
        parts=lambda: compiled(program, steps, epoch),
        limit=jax_limit if backend.configure() == "jax" else tensorflow_limit,
    )


def summarize(times: Times, flops: tuple[int, int], work: Work, product: int) -> dict[str, Any]:
    """Medians over the rounds of each part's time and its ratio to the step and to the limit."""
    forward, training = (work.batch_size * x for x in flops)
    both = times["forward + backward"]
    rows = {
        "data": (times["data"], 0),
        "forward": (times["forward"], forward),
        "backward": (
            [b - f for b, f in zip(both, times["forward"], strict=True)],
            training - forward,
        ),
        "update": (times["update"], 0),
    }
    step = times["step"]
    parts = [sum(ts) for ts in zip(*(row[0] for row in rows.values()), strict=True)]
    rows["the rest"] = ([s - p for s, p in zip(step, parts, strict=True)], 0)
    rows["step"] = (step, training)
    limit = [product / t for t in times[f"limit {work.precision}"]]
    table = []
    for name, (seconds, count) in rows.items():
        rate = median(count / max(t, 1e-9) for t in seconds)
        table.append(
            {
                "part": name,
                "seconds": median(seconds),
                "share_of_step": median(t / s for t, s in zip(seconds, step, strict=True)),
                "gflop": count / 1e9,
                "gflop_per_second": rate / 1e9,
                "share_of_limit": median(
                    count / max(t, 1e-9) / most for t, most in zip(seconds, limit, strict=True)
                ),
            }
        )
    return {
        "gflop_per_image": {"forward": flops[0] / 1e9, "training": flops[1] / 1e9},
        "images_per_second": median(work.batch_size / t for t in step),
        "rounds": len(step),
        "limit_gflop_per_second": {
            name.removeprefix("limit "): median(product / t for t in ts) / 1e9
            for name, ts in times.items()
            if name.startswith("limit ")
        },
        "parts": table,
    }


def account(arguments: argparse.Namespace) -> dict[str, Any]:
    """oneDNN's account of one step, taken in a process of its own."""
    words = ["--one-step", "--recipe", arguments.recipe, "--images", str(arguments.images)]
    words += [word for setting in arguments.settings for word in ("--set", setting)]
    for name in ("size", "batch"):
        if getattr(arguments, name):
            words += [f"--{name}", str(getattr(arguments, name))]
    environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
    with arguments.verbose.open("w", encoding="utf-8") as file:
        command = [sys.executable, __file__, *words]
        code = subprocess.run(command, stdout=file, env=environment, check=False).returncode
    text = arguments.verbose.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"^{MARK} begins\n(.*)^{MARK} took (\S+)$", text, re.DOTALL | re.MULTILINE)
    if code or not found:
        raise CifarlabError(f"the step with oneDNN's account ended with status {code}: see above")
    return {"step_seconds": float(found[2]), **onednn.account(found[1].splitlines())}


def show(result: dict[str, Any]) -> None:
    """The result as tables."""
    each, memory = result["gflop_per_image"], result["peak_memory_bytes"]
    environment = result["environment"]
    print(f"{result['recipe']} at {result['size']} pixels, {result['batch_size']} images a step")
    print(f"{environment['cpu']}, {environment['threads']} threads, ", end="")
    print(f"{environment['backend']}, {environment['precision']}; medians of ", end="")
    print(f"{result['rounds']} rounds\n")
    for dtype, rate in result["limit_gflop_per_second"].items():
        side = result["product"]
        print(f"{side} x {side} matrix product, {dtype:8} {rate:8.1f} GFLOP/s")
    print(f"an image: {each['forward']:.4f} GFLOP forward, {each['training']:.4f} in training")
    print(f"{result['images_per_second']:.1f} images/s", end="")
    print("" if memory is None else f"; peak memory {memory / 2**20:.0f} MiB", end="\n\n")
    print(f"{'part':10} {'ms':>9} {'of step':>8} {'GFLOP':>8} {'GFLOP/s':>8} {'of limit':>8}")
    for row in result["parts"]:
        print(f"{row['part']:10} {row['seconds'] * 1e3:9.2f} {row['share_of_step']:8.1%}", end="")
        counted = (
            f" {row['gflop']:8.2f} {row['gflop_per_second']:8.1f} {row['share_of_limit']:8.1%}"
        )
        print(counted if row["gflop"] else "")
    if account := result.get("onednn"):
        seconds = account["step_seconds"]
        print(f"\nthe step took {seconds * 1e3:.1f} ms with oneDNN's account switched on")
        onednn.show(account)


if __name__ == "__main__":
    main()
