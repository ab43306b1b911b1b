"""Kill a training at random moments and check that the resumed run ends in the same bits.

    python benchmarks/kill_resume.py --kills 20 --backend tensorflow

One run of a recipe (`debug` unless told) on scikit-learn's digits is left alone. Each of the others
is killed with SIGKILL at a moment drawn uniformly from the time in which a training writes, then
resumed in a new process. Weights, optimizer, callbacks' memory, history (without its wall times),
final model and test logits must be equal byte for byte. Prints a table and writes JSON; exit status
1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from safetensors import safe_open

from cifarlab.run import HISTORY, Run

# Small batches, so that there are many steps to be killed between.
WORDS = ["digits", "--set", "batch_size=16"]
DEBUG = ["--set", "plateau.patience=0"]  # so that this callback has something to remember


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--recipe", default="debug")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--backend", choices=["tensorflow", "jax"], default="tensorflow")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="write the table as JSON here")
    arguments = parser.parse_args()
    words = [*WORDS, *(DEBUG if arguments.recipe == "debug" else [])]
    words += ["--recipe", arguments.recipe, "--epochs", str(arguments.epochs)]
    words += ["--backend", arguments.backend]
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), words, arguments)
    print(f"{'kill':>4} {'after s':>8} {'epochs done':>11} {'equal':>6}")
    for i, row in enumerate(rows, start=1):
        print(f"{i:4} {row['after']:8.2f} {row['epochs_done']:11} {row['equal']!s:>6}")
    equal = sum(row["equal"] for row in rows)
    print(f"{arguments.backend}: {equal} of {len(rows)} resumed runs equal the one left alone")
    if arguments.out:
        result = {"recipe": arguments.recipe, "backend": arguments.backend}
        result |= {"kills": len(rows), "equal": equal, "rows": rows}
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.exit(equal != len(rows))


def measure(folder: Path, words: list[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a kill: when, how far the run was, whether the resumed run is equal."""
    whole = folder / "whole"
    process = start(*words, "--out", whole)
    began = wait_for(whole, process)
    process.wait()
    writing = time.monotonic() - began  # from the run folder's appearance to the report
    expected, draw, rows = digest(whole), random.Random(arguments.seed), []
    for i in range(arguments.kills):
        run = folder / f"killed-{i}"
        process = start(*words, "--out", run)
        wait_for(run, process)
        after = draw.uniform(0, writing)
        time.sleep(after)
        process.kill()
        process.wait()
        done = len(Run(run).history)
        start("--resume", run, "--backend", arguments.backend).wait()
        rows.append({"after": after, "epochs_done": done, "equal": digest(run) == expected})
        print(f"kill {i + 1}: {rows[-1]}", file=sys.stderr, flush=True)
    return rows


def start(*words: str | Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "cifarlab", "train", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def wait_for(run: Path, process: subprocess.Popen) -> float:
    """Wait until the run folder is there; the time at which it was."""
    while not run.exists():
        if process.poll() is not None:
            sys.exit("the training ended before it began: run the command by hand to see why")
        time.sleep(0.01)
    return time.monotonic()


def digest(run: Path) -> str:
    """SHA-256 over all that must be equal."""
    total = hashlib.sha256()
    for name in ("checkpoint.safetensors", "model.safetensors"):
        with safe_open(str(run / name), framework="numpy") as file:
            for key in sorted(file.keys()):
                total.update(key.encode() + file.get_tensor(key).tobytes())
            total.update((file.metadata() or {}).get("callbacks", "").encode())
    for row in Run(run).history:
        total.update(repr([row[column] for column in HISTORY if column != "seconds"]).encode())
    total.update(Run(run).predictions("test")["logits"].tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    main()
