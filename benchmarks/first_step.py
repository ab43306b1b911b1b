"""How long `cifarlab train` takes from its start to the end of its first training step.

    python benchmarks/first_step.py --recipes quick fast94 --processes 5 --out first_step.json

Each process is the command itself, ended after its first step, compilation included; recipes take
turns. The processes before the first round, one a recipe, are told apart: they may find files of
the packages and the data on the disk, the others find them in memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from competitors import absolute, describe_measurement, run
from measuring import positive

from cifarlab.errors import CifarlabError
from cifarlab.files import write_json

GOAL = 8.0  # seconds
PARTS = ("imported", "ready", "stepped")
# The command, which notes the clock on its way and ends without tidying up; the clock of all
# processes is the same. Backend and loop are imported by the command itself a moment later.
COMMAND = """
import os, sys, time
from cifarlab import backend
backend.load()
from cifarlab.engine import loop
clock = [time.time()]
make_steps = loop.make_steps

def end_after_one(program):
    steps = make_steps(program)
    step = steps.run

    def first(*arguments):
        clock.append(time.time())
        float(step(*arguments).loss)
        print(*clock, time.time(), flush=True)
        os._exit(0)

    steps.run = first
    return steps

loop.make_steps = end_after_one
from cifarlab.cli import main
main(sys.argv[1:])
"""


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    result = measure(arguments.recipes, arguments.data, arguments.processes)
    show(result)
    if arguments.out:
        write_json(arguments.out, result)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["quick"], metavar="NAME")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--processes", type=positive, default=5, help="of each recipe")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    return parser.parse_args(words)


def measure(recipes: Sequence[str], data: str, processes: int) -> dict[str, Any]:
    """Seconds from the start until all is imported, ready and one step is done, by recipe."""
    rounds = [{name: start(name, data) for name in recipes} for _ in range(1 + processes)]
    return {
        **describe_measurement(),
        "data": data,
        "first": rounds[0],
        "median": {
            name: {part: median(other[name][part] for other in rounds[1:]) for part in PARTS}
            for name in recipes
        },
        "rounds": rounds[1:],
    }


def start(recipe: str, data: str) -> dict[str, float]:
    """Seconds of one process, by part, each from its start."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", absolute(data), "--recipe", absolute(recipe), "--out", f"{folder}/run"]
        began = time.time()
        ended = subprocess.run(
            [sys.executable, "-c", COMMAND, *words], capture_output=True, text=True
        )
    try:
        clock = [float(word) for word in ended.stdout.splitlines()[-1].split()]
        return {part: at - began for part, at in zip(PARTS, clock, strict=True)}
    except (IndexError, ValueError):
        reason = "".join(ended.stderr.strip().splitlines()[-1:])
        raise CifarlabError(f"`cifarlab {' '.join(words)}` took no step: {reason}") from None


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    hardware = result["hardware"]
    print(f"{hardware['cpu']}, {hardware['threads']} threads; seconds, medians\n")
    print(f"{'recipe':20}" + "".join(f"{part:>10}" for part in PARTS))
    for name, medians in result["median"].items():
        steps = [rounds[name]["stepped"] for rounds in result["rounds"]]
        spread = f"   {min(steps):.2f} to {max(steps):.2f}"
        print(f"{name:20}" + "".join(f"{medians[part]:10.2f}" for part in PARTS) + spread)
    slowest = max(medians["stepped"] for medians in result["median"].values())
    print(f"\nthe slowest is {'within' if slowest <= GOAL else 'beyond'} {GOAL:g} seconds")


if __name__ == "__main__":
    run(main)
