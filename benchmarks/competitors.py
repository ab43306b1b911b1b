"""Competitors run and read: a process watched, and the row that comes of ours or of a peer's.

A row is one run: ``accuracy`` in [0, 1] and ``tta`` of the finished model on test; ``curve``, its
points with ``epoch``, ``split``, ``accuracy`` and ``seconds`` by clock; ``images_per_second``,
``peak_memory_bytes``, ``environment``. `time_to_accuracy.py` says what the clocks count.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cifarlab import backend
from cifarlab.errors import CifarlabError
from cifarlab.recipes import get_recipe

PEER = Path(__file__).with_name("peer.py")
PEER_NEEDS = "import torch, numpy, PIL, filelock"
FINAL = "final"
SECONDS_A_LOOK = 0.05

Row = dict[str, Any]


def run(main: Callable[[], None]) -> None:
    """Call `main`; when this process is interrupted or ended, the one that it watches ends too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except CifarlabError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def absolute(word: str) -> str:
    """A path that is there, whole; any other word, such as a recipe's name, as it is."""
    return os.path.abspath(word) if os.sep in word and os.path.exists(word) else word


def show_command() -> str:
    """The words that this script was called with; of paths only the names, which say enough."""
    return shlex.join(["python", *(Path(word).name for word in sys.argv)])


def check_competitors(recipes: list[str], scripts: list[Path], peer_python: str) -> list[str]:
    """Their names, recipes first; what is wrong must show now, not hours later."""
    for recipe in recipes:
        get_recipe(recipe)
    for script in scripts:
        if not script.is_file():
            sys.exit(f"there is no {script}; give the path of a peer's script to --peer")
    if scripts:
        try:
            subprocess.run([peer_python, "-c", PEER_NEEDS], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit(f"--peer-python {peer_python} cannot run: {PEER_NEEDS}")
    names = [Path(recipe).stem for recipe in recipes] + [script.stem for script in scripts]
    if not names or len(set(names)) != len(names):
        sys.exit(
            f"give --recipes, --peer or both, each once. Received: {' '.join(names) or 'none'}"
        )
    return names


def watch(
    command: Sequence[str],
    history: Path | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Row:
    """Run a command to its end.

    Args:
        command: words.
        history: a CSV file that the command writes, a line a finished epoch.
        environment: variables to add.
        folder: where to run it, so that what it records of its command names no temporary folder.

    Returns:
        ``seconds`` of wall time, ``seen`` (the second at which each line of `history` was there),
        ``peak_memory_bytes``, and the standard ``output``.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began, seen = time.perf_counter(), list[float]()
        variables = {**os.environ, **(environment or {})}
        if data := variables.get("CIFARLAB_DATA"):
            variables["CIFARLAB_DATA"] = os.path.abspath(data)
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=variables, cwd=folder)
        try:
            ended = 0
            while not ended:
                time.sleep(SECONDS_A_LOOK)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                now = time.perf_counter() - began
                seen += [now] * (count_epochs(history) - len(seen))
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            words = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            fail(command, f"failed with status {process.returncode}: {''.join(words)}")
        kibibytes = 1 if sys.platform == "darwin" else 1024
        memory = usage.ru_maxrss * kibibytes
        output = out.read().decode(errors="replace")
    return {"seconds": now, "seen": seen, "peak_memory_bytes": memory, "output": output}


def fail(command: Sequence[str], why: str) -> None:
    sys.exit(f"{' '.join(command)} {why}; runs that were finished before are kept in --out")


def count_epochs(history: Path | None) -> int:
    """Finished epochs: lines of the file less its header; 0 while it is not there."""
    try:
        return max(len(history.read_text().splitlines()) - 1, 0) if history else 0
    except FileNotFoundError:
        return 0


def read_run(run: Path, process: Row) -> Row:
    """The row of a finished run folder, whose process was as `watch` says."""
    result, environment, data = (
        json.loads((run / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("result", "environment", "data")
    )
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        history = list(csv.DictReader(file))
    seconds = result["seconds"]
    clock, curve = seconds["setup"], []
    seen = process["seen"] or [None] * len(history)
    for epoch, command_clock in zip(history, seen, strict=True):
        clock += float(epoch["seconds"])  # the compilation is in the first epoch's
        accuracy = float(epoch["val_accuracy"]) if epoch["val_accuracy"] else None
        curve.append(point(int(epoch["epoch"]), "validation", accuracy, clock, command_clock))
    steps = clock - seconds["setup"]
    final = clock + seconds["evaluate"]
    curve.append(point(FINAL, "test", result["accuracy"], final, process["seconds"]))
    return {
        "accuracy": result["accuracy"],
        "tta": result["tta"],
        "curve": curve,
        "images_per_second": len(history) * data["counts"]["train"] / steps,
        "peak_memory_bytes": process["peak_memory_bytes"],
        "seconds": seconds,
        "environment": environment,
    }


def read_peer(line: Row, process: Row) -> Row:
    """The row of a line that `peer.py` printed."""
    curve = [
        point(row["epoch"], "test", row["accuracy"], row["seconds"], row["seconds_from_start"])
        for row in line["epochs"] or []
    ]
    last = point(FINAL, "test", line["accuracy"], line["time_seconds"], process["seconds"])
    kept = ("device", "dtype", "threads", "torch", "trial")
    return {
        "accuracy": line["accuracy"],
        "tta": "its own",
        "curve": [*curve, last],
        "images_per_second": line["images_per_second"],
        "peak_memory_bytes": process["peak_memory_bytes"],
        "seconds": {"train": line["time_seconds"]},
        "environment": {key: line[key] for key in kept},
    }


def point(
    epoch: int | str, split: str, accuracy: float | None, training: float, command: float | None
) -> Row:
    seconds = {"training": training, "command": command}
    return {"epoch": epoch, "split": split, "accuracy": accuracy, "seconds": seconds}


def describe_measurement() -> dict[str, Any]:
    """What stands first in a result: the command, when it began, and on what."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": show_command(), "date": date, **describe_machine()}


def describe_machine() -> dict[str, Any]:
    """Hardware and our versions, without loading a backend; the rows hold what each ran on."""
    return {
        "hardware": {
            "platform": platform.platform(),
            "cpu": backend.cpu_name(),
            "cores": os.cpu_count(),
            "threads": backend.threads(),
            "memory_bytes": backend.memory_bytes(),
        },
        "versions": backend.versions(),
    }
