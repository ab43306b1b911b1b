"""How much of a published list of copies between test and train an audit has found.

    cifarlab audit RUN
    python benchmarks/audit_duplicates.py RUN --pairs duplicates_cifar10.csv --out pairs.json

The list is a CSV file as ciFAIR's authors publish it (Barz and Denzler 2020, arXiv:1902.00423) with
their test sets: TestID and TrainID, indices from 0 into the official splits, and Judgment: 0 and 1
are copies, 2 is "very similar", which is neither a copy nor a false alarm. It is scored against
what the audit left in the run's folder, so test is not opened again. Test images are counted, not
pairs; --evidence scores stricter rules as well. Hardware and versions are of this command: give it
on the machine of the audit, whose seconds it repeats.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competitors import describe_measurement, run

from cifarlab.errors import DataError, RunError
from cifarlab.files import write_json

COLUMNS = ("TestID", "TrainID", "Judgment")

Pair = tuple[int, int]  # indices in test and in train


@dataclass(frozen=True)
class Listed:
    """A published list: pairs that are copies, and pairs that are only very similar."""

    copies: frozenset[Pair]
    similar: frozenset[Pair]


@dataclass(frozen=True)
class Leak:
    """A copy of a test image in train that an audit has found."""

    pair: Pair
    evidence: float


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    result = measure(arguments.run, arguments.pairs, arguments.evidence)
    show(result)
    if arguments.out:
        write_json(arguments.out, result)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of an audited run")
    parser.add_argument("--pairs", type=Path, required=True, metavar="FILE.csv", help="the list")
    parser.add_argument("--evidence", type=float, nargs="*", default=[], metavar="LEAST")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    return parser.parse_args(words)


def measure(folder: Path, pairs: Path, evidence: Sequence[float]) -> dict[str, Any]:
    """The scores of the audit as it is and by each stricter rule, as JSON-ready values."""
    listed, (audit, found) = read_list(pairs), read_audit(folder)
    check_indices(listed, audit["images"], pairs)
    return {
        **describe_measurement(),
        "run": folder.resolve().name,
        "list_sha256": hashlib.sha256(pairs.read_bytes()).hexdigest(),
        "images": audit["images"],
        "audit_seconds": {**audit["seconds"], "all": round(sum(audit["seconds"].values()), 2)},
        "rules": [
            {
                "evidence": least,
                **score({leak.pair for leak in found if above(leak, least)}, listed),
            }
            for least in (None, *evidence)
        ],
    }


def above(leak: Leak, least: float | None) -> bool:
    return least is None or leak.evidence >= least


def score(found: Set[Pair], listed: Listed) -> dict[str, int]:
    """Test images by whether the audit flagged them and how the list has them.

    An image that the list has as a copy of one and as similar to another counts as a copy.
    """
    flagged, copies = test_images(found), test_images(listed.copies)
    similar = test_images(listed.similar) - copies
    return {
        "listed": len(copies),
        "found": len(copies & flagged),
        "found_with_the_pair": len(test_images(listed.copies & found)),
        "similar_listed": len(similar),
        "similar_flagged": len(similar & flagged),
        "others_flagged": len(flagged - copies - similar),
    }


def test_images(pairs: Set[Pair]) -> set[int]:
    return {test for test, _ in pairs}


def read_list(path: Path) -> Listed:
    """The published list.

    Raises:
        DataError: it cannot be read, has no pairs, or a line that is none.
    """
    copies, similar = set[Pair](), set[Pair]()
    kinds = {"0": copies, "1": copies, "2": similar}
    for number, row in rows(path):
        test, train, judgment = (str(row[column]).strip() for column in COLUMNS)
        if judgment not in kinds or not (test.isdecimal() and train.isdecimal()):
            raise DataError(
                f"{path}, line {number}: wanted are two indices from 0 and a judgment of 0, 1 or "
                f"2. Received: {test}, {train}, {judgment}"
            )
        kinds[judgment].add((int(test), int(train)))
    if not copies:
        raise DataError(f"{path} lists no copies, which have a judgment of 0 or 1")
    return Listed(frozenset(copies), frozenset(similar))


def rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and columns of each line after the header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise DataError(f"{path} has no column {', '.join(sorted(missing))}")
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def read_audit(folder: Path) -> tuple[dict[str, Any], list[Leak]]:
    """What `cifarlab audit` left in a run's folder: audit.json, and the copies in findings.csv.

    Raises:
        RunError: there is no audit, or the two files are not of the same one.
    """
    try:
        audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
        with (folder / "audit" / "findings.csv").open(encoding="utf-8", newline="") as file:
            leaks = [row for row in csv.DictReader(file) if row["kind"] == "leak"]
        found = [
            Leak((int(row["index"]), int(row["other_index"])), float(row["evidence"]))
            for row in leaks
            if (row["split"], row["other_split"]) == ("test", "train")
        ]
        if len(leaks) != audit["counts"]["leak"]:
            raise ValueError("findings.csv is of another audit than audit.json")
    except (OSError, ValueError, KeyError) as error:
        raise RunError(
            f"{folder} holds no whole audit ({error}); make it with: cifarlab audit {folder}"
        ) from error
    return audit, found


def check_indices(listed: Listed, images: dict[str, int], path: Path) -> None:
    """Refuse a list of other data, as far as sizes tell."""
    pairs = listed.copies | listed.similar
    for split, indices in zip(("test", "train"), zip(*pairs, strict=True), strict=True):
        if max(indices) >= images.get(split, 0):
            raise DataError(
                f"{path} names image {max(indices)} of {split}, of which the audit saw "
                f"{images.get(split, 0)}: they are not of the same data"
            )


def show(result: dict[str, Any]) -> None:
    """The result as a table."""
    images = ", ".join(f"{name} {count:,}" for name, count in result["images"].items())
    print(f"{result['run']} ({images}), audited in {result['audit_seconds']['all']:.0f} s\n")
    print(f"{'evidence':>10} {'found':>20} {'with the pair':>14}", end="")
    print(f" {'others flagged':>15} {'very similar':>13}")
    for rule in result["rules"]:
        least = "as it is" if rule["evidence"] is None else f"{rule['evidence']:g}"
        share = f"{rule['found']} of {rule['listed']} ({rule['found'] / rule['listed']:.1%})"
        similar = f"{rule['similar_flagged']} of {rule['similar_listed']}"
        print(f"{least:>10} {share:>20} {rule['found_with_the_pair']:>14}", end="")
        print(f" {rule['others_flagged']:>15} {similar:>13}")


if __name__ == "__main__":
    run(main)
