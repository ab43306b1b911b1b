"""How long `cifarlab predict PHOTO` takes in a process where nothing has been imported yet.

    python benchmarks/cold_start.py photo.jpg --processes 10 --out cold.json

Each process is timed from its start to its end, one after the other. One before them is told apart:
it may find the files of the packages on the disk, the others find them in memory. One more, not
timed as a whole, says what it imported and how long that took, by package; the exit status is 1 if
a framework for training was among it. Output goes to a pipe, so no pictures are drawn.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from competitors import describe_measurement, run
from measuring import positive, timed

from cifarlab.errors import CifarlabError
from cifarlab.files import write_json

FRAMEWORKS = ("keras", "tensorflow", "jax", "torch")
IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)
SHOWN = 5  # packages in the table


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    result = measure(arguments.photo, arguments.model, arguments.processes)
    show(result)
    if arguments.out:
        write_json(arguments.out, result)
    sys.exit(bool(result["frameworks_imported"]))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--processes", type=positive, default=10, help="besides the first one")
    parser.add_argument("--model", help="what `cifarlab predict` takes; its own default")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    return parser.parse_args(words)


def measure(photo: Path, model: str | None, processes: int) -> dict[str, Any]:
    """Seconds of each process, and what such a process imports, as JSON-ready values."""
    words = ["-m", "cifarlab", "predict", str(photo), *(["--model", model] if model else [])]
    first, *others = (timed(partial(python, words))[0] for _ in range(1 + processes))
    imported = import_seconds(python(["-X", "importtime", *words]))
    document = describe_measurement()
    document["versions"]["onnxruntime"] = importlib.metadata.version("onnxruntime")
    return {
        **document,
        "processes": processes,
        "first_seconds": first,
        "median_seconds": median(others),
        "seconds": others,
        "frameworks_imported": [name for name in FRAMEWORKS if name in imported],
        "import_seconds": imported,
    }


def python(words: Sequence[str]) -> str:
    """What Python, called with these words, says beside its output; it must end well."""
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if ended.returncode:
        reason = "".join(ended.stderr.strip().splitlines()[-1:])
        raise CifarlabError(f"`python {' '.join(words)}` failed: {reason}")
    return ended.stderr


def import_seconds(text: str) -> dict[str, float]:
    """Package to the seconds that its own modules took, the longest first.

    Args:
        text: what ``python -X importtime`` wrote: microseconds of each module, those that it
            imported left out.
    """
    total: Counter[str] = Counter()
    for microseconds, module in IMPORT.findall(text):
        total[module.partition(".")[0]] += int(microseconds)
    return {package: microseconds / 1e6 for package, microseconds in total.most_common()}


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    hardware, seconds = result["hardware"], result["seconds"]
    print(f"{hardware['cpu']}, {hardware['threads']} threads\n")
    print(f"{'first process':24} {result['first_seconds']:6.2f} s")
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
    print(f"{f'median of {len(seconds)}':24} {result['median_seconds']:6.2f} s   {spread}")
    for package, taken in list(result["import_seconds"].items())[:SHOWN]:
        print(f"{f'  import of {package}':24} {taken:6.2f} s   measured in one process")
    found = result["frameworks_imported"]
    print("\nframeworks imported:", *(found or ["none of", ", ".join(FRAMEWORKS)]))


if __name__ == "__main__":
    run(main)
