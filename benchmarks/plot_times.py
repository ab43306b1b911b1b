"""Draw accuracy against time from finished measurements of `time_to_accuracy.py`, all in one.

    python benchmarks/plot_times.py records/quick/time.json records/fast94/time.json --out time.png

Competitors keep the order in which the files first name them. The files must be of the same
hardware, which their clocks depend on; a competitor that several files have is drawn from each.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from comparison import plot


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("measurements", type=Path, nargs="+", metavar="TIME.json")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    arguments = parser.parse_args()
    documents = [read(path) for path in arguments.measurements]
    if any(document["hardware"] != documents[0]["hardware"] for document in documents):
        sys.exit("the measurements are of different hardware and do not belong in one plot")
    rows = [row for document in documents for row in document["rows"]]
    plot(rows, list(dict.fromkeys(row["competitor"] for row in rows)), arguments.out)


def read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {"hardware": document["hardware"], "rows": document["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        sys.exit(f"{path} is no measurement of time_to_accuracy.py")


if __name__ == "__main__":
    main()
