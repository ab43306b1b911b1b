"""Measure recipes and public PyTorch scripts side by side on one GPU, compile time apart.

    python benchmarks/gpu.py --recipes fast94 --peer airbench94_muon.py --peer-python PYTHON \\
        --runs 5 --out gpu.json
    python benchmarks/gpu.py --device cpu --recipes debug --data digits --epochs 1 --runs 2 \\
        --peer airbench94_muon.py --limit-images 200 --peer-python PYTHON --out trial.json

One process makes all runs of a competitor in a round, so that compilation is paid once: the first
run is a warm-up, kept out of the figures, for ours as for the peers, and ours keeps what JAX
compiled in a cache for the process's next runs. Rounds interleave the competitors. Peers run as
they are on ``--device cuda``, and as `peer.py` adapts them on a CPU, where they have no warm-up.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comparison import print_table, show_accuracy, summarize_accuracy
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

NOTES = [
    """Accuracy: the finished model on test with its own test-time augmentation. A peer has opened
    test after each epoch as well, as its authors wrote it.""",
    """Seconds: ours from set-up to the end of the evaluation, with what compiling still costs when
    the cache is warm and with its validation by epoch, without reading the data; a peer's own
    time_seconds, without reading the data and without evaluation by epoch.""",
    """First call, a part of ours: the first call of the compiled step, on an accelerator the whole
    first epoch; what it takes longer in the warm-up is compilation.""",
    """Warm-up: the first run of the process, from its first line of training code to its end;
    its excess over the mean run is what compilation costs, once. Null for a peer on a CPU.""",
    """Process: wall seconds of the whole process, everything included.""",
    """×: ratio of the mean seconds to the first peer's, over rounds by geometric mean; below 1 is
    faster than the peer.""",
]


def main() -> None:
    arguments = parse_arguments()
    whats = [*arguments.recipes, *arguments.peer]
    names = check_competitors(arguments.recipes, arguments.peer, arguments.peer_python)
    if arguments.runs < 1 or arguments.rounds < 1:
        sys.exit("--runs and --rounds must be 1 or more")
    if arguments.out.exists():
        sys.exit(f"{arguments.out} exists; name another file with --out")
    first_peer = arguments.peer[0].stem if arguments.peer else None
    document: dict[str, Any] = {
        **describe_measurement(),
        "gpu": describe_gpu(),
        "device": arguments.device,
        "notes": [" ".join(note.split()) for note in NOTES],
        "rows": [],
        "processes": [],
    }
    for number in range(arguments.rounds):
        for name, what in zip(names, whats, strict=True):
            print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr, flush=True)
            measure: Callable = run_peer if isinstance(what, Path) else run_ours
            rows, process = measure(what, number * (arguments.runs + 1), arguments)
            which = {"competitor": name, "round": number}
            document["rows"] += [{**which, **row} for row in rows]
            document["processes"].append({**which, **process})
            document["summary"] = figures(document, first_peer)
            write_json(arguments.out, document)
    print_table(tabulate(document["summary"]))
    print(*["", *document["notes"]], sep="\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="*", default=["fast94"], metavar="NAME")
    parser.add_argument("--peer", type=Path, action="append", default=[], metavar="SCRIPT")
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--runs", type=int, default=5, help="of each competitor in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--backend", default="jax", help="for ours")
    parser.add_argument("--data", default="cifar10", help="for ours; peers know CIFAR-10 only")
    parser.add_argument("--epochs", type=int, help="for a trial: in place of each one's own")
    parser.add_argument("--limit-images", type=int, help="for a trial: of peers' train and test")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    return parser.parse_args()


def describe_gpu() -> str | None:
    """The GPU and its driver by nvidia-smi; None where there is none."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=name,driver_version,power.limit", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def run_ours(recipe: str, seed: int, arguments: argparse.Namespace) -> tuple[list[Row], Row]:
    """A warm-up and `--runs` runs of a recipe in one process."""
    with tempfile.TemporaryDirectory() as folder:
        out, runs = Path(folder) / "runs", arguments.runs + 1
        command = [sys.executable, "-m", "cifarlab", "train", absolute(arguments.data)]
        command += ["--recipe", absolute(recipe), "--out", out.name]
        command += ["--seed", str(seed), "--runs", str(runs), "--backend", arguments.backend]
        command += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
        variables = {
            "JAX_COMPILATION_CACHE_DIR": str(Path(folder) / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        if arguments.device == "cpu":
            variables |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        process = watch(command, environment=variables, folder=out.parent)
        rows = [
            read_run(path, {**process, "seconds": None})
            | {"seed": json.loads((path / "result.json").read_text(encoding="utf-8"))["seed"]}
            for path in out.iterdir()
        ]
    rows.sort(key=lambda row: row["seed"])
    for row in rows:
        row["run_seconds"] = sum(row["seconds"].values())
    return rows[1:], {"seconds": process["seconds"], **warm_up_of(rows[0])}


def warm_up_of(row: Row) -> Row:
    return {"warm_up_seconds": row["run_seconds"], "warm_up_parts": row["seconds"]}


def run_peer(script: Path, seed: int, arguments: argparse.Namespace) -> tuple[list[Row], Row]:
    """`--runs` runs of a peer in one process, after its warm-up where it has one."""
    command = [arguments.peer_python, str(PEER), str(script), "--seed", str(seed)]
    command += ["--runs", str(arguments.runs), "--device", arguments.device]
    command += ["--epochs", str(arguments.epochs)] if arguments.epochs else []
    command += ["--limit-images", str(arguments.limit_images)] if arguments.limit_images else []
    process = watch(command)
    lines = [json.loads(line) for line in process["output"].splitlines()]
    rows = [
        read_peer(line, {**process, "seconds": None})
        | {"seed": line["seed"], "run_seconds": line["time_seconds"]}
        for line in lines
    ]
    warm_up = lines[0]["warm_up_seconds"]
    return rows, {"seconds": process["seconds"], "warm_up_seconds": warm_up}


def figures(document: dict[str, Any], peer: str | None) -> dict[str, Row]:
    """Competitor to its figures; ratios are to `peer`."""
    names = dict.fromkeys(row["competitor"] for row in document["rows"])
    summary = {}
    for name in names:
        rows = [row for row in document["rows"] if row["competitor"] == name]
        processes = [p for p in document["processes"] if p["competitor"] == name]
        logs = [
            math.log(seconds / other)
            for number, seconds in by_round(document, name).items()
            if (other := by_round(document, peer).get(number))
        ]
        summary[name] = {
            **summarize_accuracy(rows),
            "run_seconds": mean([row["run_seconds"] for row in rows]),
            "first_call_seconds": mean([row["seconds"].get("compile") for row in rows]),
            "warm_up_seconds": mean([p["warm_up_seconds"] for p in processes]),
            "process_seconds": mean([p["seconds"] for p in processes]),
            "images_per_second": mean([row["images_per_second"] for row in rows]),
            "peak_memory_bytes": max(row["peak_memory_bytes"] for row in rows),
            "ratio": math.exp(sum(logs) / len(logs)) if logs else None,
        }
    return summary


def by_round(document: dict[str, Any], name: str | None) -> dict[int, float]:
    """Round to the mean seconds of a competitor's runs in it."""
    seconds: dict[int, list[float]] = {}
    for row in document["rows"]:
        if row["competitor"] == name:
            seconds.setdefault(row["round"], []).append(row["run_seconds"])
    return {number: sum(values) / len(values) for number, values in seconds.items()}


def mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def tabulate(summary: dict[str, Row]) -> list[list[str]]:
    columns = {
        "seconds": "run_seconds",
        "first call": "first_call_seconds",
        "warm-up": "warm_up_seconds",
        "process": "process_seconds",
        "images/s": "images_per_second",
        "×": "ratio",
    }
    lines = [["competitor", "n", "accuracy", *columns]]
    for name, row in summary.items():
        cells = [row[key] for key in columns.values()]
        shown = ["-" if cell is None else f"{cell:,.2f}" for cell in cells]
        lines.append([name, str(row["n"]), show_accuracy(row), *shown])
    return lines


if __name__ == "__main__":
    run(main)
