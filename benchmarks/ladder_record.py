"""Make a record, the evidence behind its figures, of a finished ladder.

    cifarlab ladder cifar10 --runs 3 --aside
    python benchmarks/ladder_record.py records/ladder runs/ladder-cifar10

Writes ``ladder.json``, the page ``ladder.html``, ``ladder.png`` and of each run ``result.json`` and
``history.csv``; no path of the machine is kept. ``README.md`` is written where there is none, with
every table; printed are its text and a shorter table for the project's own README. What was tried
is added by hand. Nothing is trained and no test split is opened.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.errors import CifarlabError
from cifarlab.files import write_json, write_text
from cifarlab.report.ladder import (
    class_rows,
    hardest,
    opening,
    signed,
    signed_interval,
    verdict,
    write_ladder_page,
)
from cifarlab.report.numbers import SPACE, duration, interval, percent
from cifarlab.run import Run

KEPT = ("result.json", "history.csv")

Found = Mapping[str, Any]  # what `climb` returns and ladder.json holds


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("record", type=Path, help="folder to write, such as records/ladder")
    parser.add_argument("ladder", type=Path, help="a ladder's folder")
    parser.add_argument("--command", help="that made it, where it had more options than these tell")
    arguments = parser.parse_args(words)
    try:
        found = read(arguments.ladder)
        keep_runs(found, arguments.ladder, arguments.record)
        command = arguments.command or command_of(found)
        write_json(arguments.record / "ladder.json", found)
        write_ladder_page(found, command, arguments.record)
        readme = "\n\n".join(ladder_parts(found, command)) + "\n"
        keep_readme(arguments.record, readme)
    except CifarlabError as error:
        sys.exit(f"error: {error}")
    print(readme, "For the project's README:", short_table(found), sep="\n")


def read(folder: Path) -> dict[str, Any]:
    """A ladder's figures without what is only true of one machine's folders.

    Raises:
        CifarlabError: there are none, or of a version that knew fewer.
    """
    path = folder / "ladder.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CifarlabError(f"{path} is not what a ladder leaves: {error}") from error
    if "classes" not in found:
        again = "give the ladder's command again, which trains nothing anew"
        raise CifarlabError(f"{path} is of an older version; {again}")
    return kept(found)


def kept(found: Found) -> dict[str, Any]:
    """The same with runs by name, and without the command line, which may hold any path."""
    environment = {name: value for name, value in found["environment"].items() if name != "command"}
    named = {
        part: [{**rung, "runs": [Path(run).name for run in rung["runs"]]} for rung in found[part]]
        for part in ("rungs", "aside")
    }
    return {**found, "environment": environment, **named}


def keep_runs(found: Found, ladder: Path, record: Path) -> None:
    """Copy each run's result and history.

    Raises:
        CifarlabError: a run has looked at test more or less often than its rungs say.
    """
    looks: dict[str, int] = {}
    for rung in (*found["rungs"], *found["aside"]):
        for run in rung["runs"]:
            looks[run] = looks.get(run, 0) + (rung["kind"] != "ensemble")
    for run, expected in looks.items():
        result = Run(ladder / "runs" / run).result
        if found["split"] == "test" and result["test_looks"] != expected:
            seen = f"{result['test_looks']} times, not {expected}"
            raise CifarlabError(f"{run}: its test split was opened {seen}")
        (record / "runs" / run).mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(ladder / "runs" / run / name, record / "runs" / run / name)


def keep_readme(record: Path, text: str) -> None:
    """Write the README, unless there is one: parts of it are written by hand."""
    path = record / "README.md"
    if path.exists():
        print(f"{path} is left as it is; this is what it would be:\n", file=sys.stderr)
    else:
        write_text(path, text)


def command_of(found: Found) -> str:
    """The command that makes such a ladder."""
    words = ["cifarlab", "ladder", found["dataset"], "--runs", str(found["runs"])]
    words += ["--aside"] if found["aside"] else []
    words += ["--no-test"] if found["split"] == "val" else []
    return shlex.join(words)


def ladder_parts(found: Found, command: str) -> list[str]:
    """The README's paragraphs and tables."""
    summary = " ".join([*opening(found), *hardest(found)]).replace(SPACE, " ")
    classes = ["class", "first rung", "last rung", "gain, points", "95 % interval", "largest step"]
    read_it = "[how to read it](../../docs/ladder.md#how-to-read-it)"
    page = f"[The page](ladder.html) has the reasons; {read_it}."
    plot = "![Accuracy of each rung, and over the seconds of training](ladder.png)"
    parts = ["# ladder", summary, page, facts(found, command), plot, "## Rungs"]
    parts.append(gains_table(found["rungs"]))
    if found["aside"]:
        parts += ["## Beside the ladder", gains_table(found["aside"])]
    return [*parts, "## Classes", table(classes, [[*row.values()] for row in class_rows(found)])]


def facts(found: Found, command: str) -> str:
    """How, on what and when it was measured, as a table."""
    environment = found["environment"]
    hardware = [environment[name] for name in ("cpu", "threads", "backend", "precision")]
    trained = [rung for rung in (*found["rungs"], *found["aside"]) if rung["kind"] == "train"]
    seconds = sum(rung["seconds_mean"] * rung["n"] for rung in trained)
    correlation = seed_correlation(trained)
    alike = f"; they correlate by {correlation:+.2f}" if correlation is not None else ""
    rows = [
        ["seeds", f"{found['runs']}{alike}"],
        ["images", f"{found['rungs'][0]['images']:,}, {found['split']}"],
        ["training", f"{duration(seconds)} in all, set-up and compilation included"],
        ["command", f"`{command}`"],
        ["hardware", "{}, {} cores, {}, {}".format(*hardware)],
        ["versions", ", ".join(" ".join(each) for each in environment["versions"].items())],
        ["date", environment["date"][:10]],
    ]
    return table(["", ""], rows)


def seed_correlation(trained: Iterable[Mapping[str, Any]]) -> float | None:
    """Of the accuracies of a rung's seeds with those of the same seeds on the rung below, each less
    its rung's mean, over all rungs that are not taken for pairs; None where no seed differs.
    """
    each = {rung["name"]: (rung["accuracy_each"], rung["accuracy_mean"]) for rung in trained}
    deviations = {name: [a - mean for a in values] for name, (values, mean) in each.items()}
    pairs = [
        pair
        for rung in trained
        if rung["below"] in deviations and rung["gain"]["method"] == "welch"
        for pair in zip(deviations[rung["below"]], deviations[rung["name"]], strict=True)
    ]
    spread = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / spread if spread else None


def gains_table(rungs: Sequence[Mapping[str, Any]]) -> str:
    """A row a rung: accuracy, gain with both intervals, costs."""
    columns = ["", "rung", "what changes", "accuracy", "95 % interval", "gain, points"]
    columns += ["over seeds", "over images", "", *COSTS]
    return table(columns, [[str(i), *_row(rung)] for i, rung in enumerate(rungs, start=1)])


COSTS = ("training", "operations to train", "parameters", "multiply-adds an answer")


def costs(rung: Mapping[str, Any]) -> list[str]:
    """What a rung costs, under `COSTS`."""
    return [
        duration(rung["seconds_mean"]),
        f"{rung['training_operations'] / 1e12:,.3g} T",
        f"{rung['parameters']:,}",
        f"{rung['multiply_adds'] / 1e6:,.1f} M",
    ]


def gains(rung: Mapping[str, Any]) -> list[str]:
    """A rung's gain, its intervals over seeds and over images, and what they come to."""
    gain = rung["gain"]
    if gain is None:
        return [""] * 4
    over_seeds = gain["method"] in ("welch", "seeds")
    return [
        signed(gain["difference"]),
        signed_interval(gain["interval"]) if over_seeds else "",
        signed_interval(gain["interval_images" if over_seeds else "interval"]),
        verdict(gain),
    ]


def _row(rung: Mapping[str, Any]) -> list[str]:
    accuracy, bounds = rung["accuracy_mean"], rung["accuracy_ci95"]
    quality = [percent(accuracy, rung["images"]), interval(bounds, rung["images"])]
    return [f"`{rung['name']}`", rung["change"], *quality, *gains(rung), *costs(rung)]


def short_table(found: Found) -> str:
    """A row a rung in five columns."""
    rows = []
    for i, rung in enumerate(found["rungs"], start=1):
        difference, over_seeds, over_images, words = gains(rung)
        gain = f"{difference} ({over_seeds or over_images})" if difference else ""
        nothing = words if words == "no measurable gain" else ""
        accuracy = percent(rung["accuracy_mean"])
        rows.append([str(i), rung["change"], accuracy, gain, nothing])
    return table(["", "what changes", "test accuracy", "gain, points", ""], rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace(SPACE, " ")


if __name__ == "__main__":
    main()
