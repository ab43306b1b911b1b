"""Architectures side by side: the same training for each, measured once, set against ResNet-20.

    python benchmarks/architectures.py --out runs/architectures
    python benchmarks/architectures.py --out runs/architectures --record records/architectures

The recipes are those of docs/architectures.md: about forty million multiply-adds an image, but for
LeNet-5, the same data, augmentation, optimizer and rates, and as many epochs as `--epochs` says for
all. Rates and strengths are usual values, set beforehand; nothing is chosen by what comes out.
Seeds go round, so that every network has been trained once before any is trained twice; after a
stop, kill included, the same command goes on. Each run looks at test once, and the run folders are
those of any training: `cifarlab compare` and `cifarlab report` read them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ladder_record import COSTS, costs, facts, gains, keep_readme, keep_runs, kept, table

from cifarlab import backend
from cifarlab.cli.display import training_display
from cifarlab.errors import CifarlabError
from cifarlab.files import write_json
from cifarlab.ladder import Rung, climb
from cifarlab.recipes import get_recipe
from cifarlab.report.numbers import interval, percent

FIRST = "resnet20"  # against which the others are set
# Folder to name; the two of depthwise convolutions, the slowest on a CPU, last.
NETWORKS = {
    FIRST: "ResNet-20",
    "lenet": "LeNet-5",
    "vgg": "VGG-11, half of the channels",
    "wide_resnet": "WRN-10-2",
    "mobilenet": "MobileNet, half of the channels",
    "convmixer": "ConvMixer-128/8, patches of two pixels",
}
EPOCHS = 4
# What a ladder calls a gain, where nothing is above anything.
SAID = {
    "": "",
    "a gain": "better",
    "a loss": "worse",
    "no measurable gain": "cannot be told apart",
}


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    try:
        backend.load(arguments.backend)
        found = climb(
            arguments.data,
            arguments.out,
            runs=arguments.runs,
            rungs=networks(arguments.epochs),
            split="val" if arguments.no_test else "test",
            displays=training_display,
        )
        if arguments.record:
            keep(found, arguments)
    except CifarlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(results(found), "", "Next:", *next_commands(found), sep="\n")


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="cifar10", help="cifar10, digits, or a path")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--runs", type=int, default=1, help="seeds of each network")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each training")
    parser.add_argument("--no-test", action="store_true", help="measure on validation only")
    parser.add_argument("--backend", help="tensorflow (the default) or jax")
    parser.add_argument("--record", type=Path, help="folder for the evidence, when all is done")
    return parser.parse_args(words)


def networks(epochs: int) -> tuple[Rung, ...]:
    """One rung a network, each set against the first."""
    return tuple(
        Rung(
            name=name,
            change=title,
            why="",
            recipe=replace(get_recipe(f"{name}_short"), epochs=epochs),
            below=None if name == FIRST else FIRST,
        )
        for name, title in NETWORKS.items()
    )


def results(found: Mapping[str, Any]) -> str:
    """A row a network, the most accurate first: accuracy, difference from ResNet-20, costs."""
    columns = ["network", "accuracy", "95 % interval", f"against {NETWORKS[FIRST]}, points"]
    columns += ["over seeds", "over images", "", *COSTS]
    rows = []
    for rung in sorted(found["rungs"], key=lambda rung: -rung["accuracy_mean"]):
        accuracy = percent(rung["accuracy_mean"], rung["images"])
        bounds = interval(rung["accuracy_ci95"], rung["images"])
        *figures, words = gains(rung)
        rows.append([rung["change"], accuracy, bounds, *figures, SAID[words], *costs(rung)])
    return table(columns, rows)


def next_commands(found: Mapping[str, Any]) -> list[str]:
    """What sets the same runs beside each other with every figure, on a page too."""
    runs = [rung["runs"] for rung in found["rungs"]]
    every = [run for each in runs for run in each]
    return [
        shlex.join(["cifarlab", "compare", *(",".join(each) for each in runs)]),
        shlex.join(["cifarlab", "report", *every]),
    ]


def keep(found: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """The record: figures, each run's result and history, and a README where there is none."""
    record, found = arguments.record, kept(found)
    keep_runs(found, arguments.out, record)
    write_json(record / "architectures.json", found)
    command = f"python benchmarks/architectures.py --epochs {arguments.epochs}"
    command += f" --runs {arguments.runs} --out runs/architectures"
    about = "[What is compared](../../docs/architectures.md). Each run looked at test once."
    parts = ["# architectures", about, facts(found, command), results(found)]
    keep_readme(record, "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
