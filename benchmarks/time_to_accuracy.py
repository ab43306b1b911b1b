"""Measure how long recipes and public PyTorch scripts take to an accuracy, side by side.

    python benchmarks/time_to_accuracy.py --recipes fast94 quick --peer airbench94_muon.py \\
        --peer-python PYTHON --runs 3 --out time.json --plot time.png

Each round runs every competitor once, with the round's number as its seed, so that a machine that
gets slower or faster does so for all; ratios are taken within a round. Ours is the command
``cifarlab train``, a peer is run by `peer.py` with an interpreter that has torch. Everything is
written after each run, and ``--resume`` makes only the runs that are missing. POSIX only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from comparison import CLOCKS, plot, print_table, summarize, tabulate
from competitors import (
    PEER,
    Row,
    absolute,
    check_competitors,
    describe_measurement,
    read_peer,
    read_run,
    run,
    watch,
)

from cifarlab.files import write_json
from cifarlab.recipes import get_recipe

NOTES = [
    """Ours, by epoch: accuracy on the held-out validation images at the epoch's own image size.
    A peer's, by epoch: on the test images, as its authors wrote it.""",
    """The last point of each is the finished model on test with its own test-time augmentation;
    ours opens test once, for this point.""",
    """Training clock, ours: set-up, compilation and steps; the last point adds the evaluation. A
    peer's: its own time_seconds, which the last point adds its evaluation to. A peer that prints
    no row by epoch has its last point alone, so that its time to every accuracy is its end.""",
    """Command clock: wall time of the process. Ours is seen from outside to 0.1 s, a peer's counted
    from the start of peer.py, and the last point is the end of the process. It holds a peer's own
    evaluation by epoch on all test images, ours on fewer validation images, and our report.""",
    """×: geometric mean over rounds of the time over the first peer's in the same round; below 1
    is faster than the peer.""",
    """Images a second: training images over the seconds of all epochs, compilation included; over
    the whole of its clock for a peer that prints no row by epoch.""",
    """Peak memory is the largest resident set of the process over all runs.""",
]


def main() -> None:
    arguments = parse_arguments()
    competitors = make_competitors(arguments)
    document = start_document(arguments, list(competitors))
    done = {(row["competitor"], row["seed"]) for row in document["rows"]}
    for seed in range(arguments.runs):
        for name, measure in competitors.items():
            if (name, seed) in done:
                continue
            print(f"round {seed + 1} of {arguments.runs}: {name}", file=sys.stderr, flush=True)
            began = datetime.now(UTC).isoformat(timespec="seconds")
            row = {"competitor": name, "seed": seed, "date": began, **measure(seed)}
            document["rows"].append(row)
            document["summary"] = figures(document)
            write_json(arguments.out, document)
    for clock, meaning in CLOCKS.items():
        print(f"\nSeconds {meaning}:")
        print_table(tabulate(figures(document), clock))
    print(*["", *document["notes"]], sep="\n")
    if arguments.plot:
        plot(document["rows"], document["competitors"], arguments.plot)


def figures(document: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(document["peers"]), None)
    return summarize(document["rows"], document["competitors"], first, document["thresholds"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="*", default=["fast94"], metavar="NAME")
    parser.add_argument("--peer", type=Path, action="append", default=[], metavar="SCRIPT")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--runs", type=int, default=3, help="rounds, seeds 0, 1, …")
    parser.add_argument("--thresholds", type=float, nargs="+", default=[70, 80, 90, 94])
    parser.add_argument("--data", default="cifar10", help="for ours; peers know CIFAR-10 only")
    parser.add_argument("--backend", help="for ours")
    parser.add_argument("--epochs", type=int, help="for a trial: in place of each one's own")
    parser.add_argument(
        "--limit-images", type=int, help="for a trial: of the peers' train and test"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep our run folders here")
    parser.add_argument("--resume", action="store_true", help="go on with what --out holds")
    return parser.parse_args()


def make_competitors(arguments: argparse.Namespace) -> dict[str, Callable[[int], Row]]:
    """Name to a function of the seed that makes one run."""
    names = check_competitors(arguments.recipes, arguments.peer, arguments.peer_python)
    if arguments.runs < 1:
        sys.exit("--runs must be 1 or more")
    ours = [partial(run_ours, recipe, arguments) for recipe in arguments.recipes]
    peers = [partial(run_peer, script, arguments) for script in arguments.peer]
    return dict(zip(names, [*ours, *peers], strict=True))


def start_document(arguments: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    """What --out will hold: new, or with ``--resume`` as it is there."""
    settings = {"data": arguments.data, "backend": arguments.backend, "epochs": arguments.epochs}
    settings |= {"limit_images": arguments.limit_images}
    document = {
        "settings": settings,
        **describe_measurement(),
        "notes": [" ".join(note.split()) for note in NOTES],
        "competitors": names,
        "peers": [script.stem for script in arguments.peer],
        "thresholds": [round(value / 100, 6) for value in arguments.thresholds],
        "rows": [],
    }
    if not arguments.out.exists():
        return document
    if not arguments.resume:
        sys.exit(f"{arguments.out} exists; add --resume to go on with it, or name another")
    try:
        return go_on(document, json.loads(arguments.out.read_text(encoding="utf-8")), arguments)
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"{arguments.out} is no measurement of this benchmark; name another file")


def go_on(
    document: dict[str, Any], before: dict[str, Any], arguments: argparse.Namespace
) -> dict[str, Any]:
    """`document` with the rows measured before, which must be of the same things."""
    for key in ("settings", "hardware"):
        if before[key] != document[key]:
            sys.exit(f"{arguments.out} has other {key}: {before[key]}, now {document[key]}")
    now = {Path(recipe).stem: describe_recipe(recipe) for recipe in arguments.recipes}
    now |= {script.stem: {"sha256": digest(script)} for script in arguments.peer}
    for row in before["rows"]:
        name = row["competitor"]
        if name in now and not same_training(row["what"], now[name], arguments.data):
            sys.exit(f"{arguments.out} was measured with another {name}; name another file")
    for key in ("competitors", "peers"):  # those of an earlier command stay in the table
        document[key] = list(dict.fromkeys([*before[key], *document[key]]))
    return {**document, "rows": before["rows"]}


def same_training(then: dict[str, Any], now: dict[str, Any], data: str) -> bool:
    """Whether a row is of what would be measured now; words decide nothing.

    Rows from before recipes had these fields lack them: on all of CIFAR-10 they change nothing.
    """
    fields = ("least_steps", "least_batch") if data == "cifar10" else ()
    lacking = {k: now[k] for k in fields if k in now}
    return {**now, "summary": ""} == {**lacking, **then, "summary": ""}


def describe_recipe(recipe: str) -> dict[str, Any]:
    """What a row of a recipe must agree in; --epochs is one of the settings."""
    return json.loads(json.dumps({**get_recipe(recipe).to_json(), "epochs": None}))


def digest(script: Path) -> str:
    return hashlib.sha256(script.read_bytes()).hexdigest()


def run_ours(recipe: str, arguments: argparse.Namespace, seed: int) -> Row:
    """One ``cifarlab train`` in a process of its own, and what its run folder says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(recipe).stem}-seed{seed}"
        command = [sys.executable, "-m", "cifarlab", "train", absolute(arguments.data)]
        command += ["--recipe", absolute(recipe), "--seed", str(seed), "--out", path.name]
        command += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
        command += ["--backend", arguments.backend] if arguments.backend else []
        process = watch(command, path / "history.csv", folder=path.parent)
        row = read_run(path, process)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            shutil.move(path, arguments.keep / path.name)
    return {**row, "what": describe_recipe(recipe)}


def run_peer(script: Path, arguments: argparse.Namespace, seed: int) -> Row:
    """One run of a peer in a process of its own."""
    command = [arguments.peer_python, str(PEER), str(script), "--seed", str(seed), "--runs", "1"]
    command += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
    command += ["--limit-images", str(arguments.limit_images)] if arguments.limit_images else []
    process = watch(command)
    row = read_peer(json.loads(process["output"].splitlines()[-1]), process)
    return {**row, "what": {"sha256": digest(script)}}


if __name__ == "__main__":
    run(main)
