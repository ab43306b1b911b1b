"""A run made again from what it says of itself, and a receipt of what came out the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cifarlab import metrics
from cifarlab.data import Dataset
from cifarlab.engine import Display
from cifarlab.errors import RunError
from cifarlab.evaluate import evaluate
from cifarlab.files import write_json
from cifarlab.prepare import find_data
from cifarlab.resumable import train_to_end, weights_digest
from cifarlab.run import SPLITS, Run
from cifarlab.train import DECIDING, own_recipe

LEVEL = 0.05  # of McNemar's test: less likely than so by chance is more than noise
DECIDES = (*DECIDING, "machine")
KEPT_AS = "receipt.json"  # in the new run folder


@dataclass(frozen=True)
class Finding:
    """One thing that two runs have, and whether it is the same.

    Attributes:
        what: its name.
        verdict: ``"same bits"``; ``"within noise"``: not the same, but no further apart than
            chance explains; ``"differs"``.
        detail: in words.
        wrong: whether it should not be so.
    """

    what: str
    verdict: Literal["same bits", "within noise", "differs"]
    detail: str
    wrong: bool = False


@dataclass(frozen=True)
class Receipt:
    """What came of making a run again.

    Attributes:
        run: the run's folder.
        again: the new one's.
        findings: weights, history, and the answers on each split that the run was measured on.
        environment: what differs: then and now.
        same_bits_expected: whether everything that decides the bits is the same.

    Example:
        >>> good = Finding("weights", "same bits", "sha256 0a1b")
        >>> bad = Finding("test accuracy", "differs", "90 % and 80 %", wrong=True)
        >>> Receipt("a", "b", (good, bad), {}, True).reproduced
        False
    """

    run: str
    again: str
    findings: tuple[Finding, ...]
    environment: Mapping[str, tuple[Any, Any]]
    same_bits_expected: bool

    @property
    def wrong(self) -> list[str]:
        """What differs and should not."""
        return [f"{each.what}: {each.detail}" for each in self.findings if each.wrong]

    @property
    def reproduced(self) -> bool:
        """Whether nothing differs that should not."""
        return not self.wrong

    @property
    def sentences(self) -> list[str]:
        """The receipt in plain words."""
        if all(each.verdict == "same bits" for each in self.findings):
            return [f"{self.again} is {self.run} to the bit."]
        if self.reproduced:
            return [
                f"{self.again} is not {self.run} to the bit: the environment is another.",
                "What it answers differs by no more than chance does."
                if len(self.findings) > 2
                else f"{self.run} kept no answers to compare: cifarlab evaluate it first.",
            ]
        reason = "nothing around it explains that" if self.same_bits_expected else "by too much"
        return [f"{self.again} differs from {self.run}, and {reason}: {'; '.join(self.wrong)}."]

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        return {
            "run": self.run,
            "again": self.again,
            "reproduced": self.reproduced,
            "same_bits_expected": self.same_bits_expected,
            "findings": [asdict(each) for each in self.findings],
            "environment": {what: list(pair) for what, pair in self.environment.items()},
        }


def reproduce(
    run: Run | str | Path,
    *,
    out: str | Path | None = None,
    data: Dataset | str | Path | None = None,
    display: Display | None = None,
) -> Receipt:
    """Train a finished run's recipe, seed and data again, and compare.

    Where backend, device, precision, threads, versions and processor are the same, every bit must
    be; else what both answer to the same images must differ by no more than chance (McNemar's exact
    test at 5 %). The new run is measured on the splits that the run was measured on; a look at test
    is counted in it, and the receipt is kept there as ``receipt.json``. Called again after a stop,
    it goes on.

    Args:
        run: a finished run.
        out: the new run folder, ``<run>-again`` by default.
        data: where its dataset is now, if it moved.
        display: is told how the training goes.

    Raises:
        RunError: the run is unfinished or damaged, `out` holds another run, or the data are not
            what the run was trained on.

    Example:
        >>> import cifarlab
        >>> run = cifarlab.train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> receipt = reproduce(run)
        >>> [(each.what, each.verdict) for each in receipt.findings]
        [('weights', 'same bits'), ('history', 'same bits')]
    """
    run = run if isinstance(run, Run) else Run(run)
    if not run.result["completed"]:
        raise RunError(f"{run.path} is not finished: cifarlab train --resume {run.path}")
    found = find_data(run, data)
    if found.fingerprint != run.data["fingerprint"]:
        raise RunError(f"{found.source} is not the data that {run.path} was trained on")
    folder = run.path.with_name(f"{run.name}-again") if out is None else Path(out)
    if folder.resolve() == run.path.resolve():
        raise RunError(f"{folder} is the run itself; name another --out")
    again = train_to_end(found, own_recipe(run), run.result["seed"], folder, display=display)
    environment = _differences(run, again)
    decided = not any(what in DECIDES or what.startswith("version") for what in environment)
    findings = [_weights(run, again, decided), _history(run, again, decided)]
    for split in SPLITS:
        if (run.path / f"predictions-{split}.npz").exists():
            findings.append(_answers(run, again, found, split, decided))
    receipt = Receipt(str(run.path), str(folder), tuple(findings), environment, decided)
    write_json(folder / KEPT_AS, receipt.to_json())
    return receipt


def _differences(run: Run, again: Run) -> dict[str, tuple[Any, Any]]:
    """What of two environments differs; dates, commands and the like always do."""
    then, now = run.environment, again.environment
    pairs = {what: (then.get(what), now.get(what)) for what in (*DECIDES, "platform", "cores")}
    for package in sorted({*then["versions"], *now["versions"]}):
        versions = tuple(side["versions"].get(package, "none") for side in (then, now))
        pairs[f"version of {package}"] = (versions[0], versions[1])
    return {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}


def _weights(run: Run, again: Run, decided: bool) -> Finding:
    first, second = weights_digest(run), weights_digest(again)
    if first == second:
        return Finding("weights", "same bits", f"sha256 {first[:16]}…")
    detail = f"sha256 {first[:16]}… and {second[:16]}…"
    return Finding("weights", "differs", detail, wrong=decided)


def _history(run: Run, again: Run, decided: bool) -> Finding:
    """Every figure of every epoch but its seconds."""
    rows = [[{**row, "seconds": None} for row in each.history] for each in (run, again)]
    if rows[0] == rows[1]:
        return Finding("history", "same bits", f"{len(rows[0])} epochs")
    if len(rows[0]) != len(rows[1]):
        detail = f"{len(rows[0])} epochs and {len(rows[1])}"
    else:
        epoch = next(i for i, (a, b) in enumerate(zip(*rows, strict=True)) if a != b)
        before, after = rows[0][epoch], rows[1][epoch]
        column = next(name for name in before if before[name] != after[name])
        detail = f"first in epoch {epoch + 1}: {column} {before[column]} and {after[column]}"
    return Finding("history", "differs", detail, wrong=decided)


def _answers(run: Run, again: Run, data: Dataset, split: str, decided: bool) -> Finding:
    """Logits to the bit, else right and wrong answers by McNemar's test."""
    tta = _tta(run, split)
    if not _measured(again, split, tta):
        evaluate(again, data=data, split=split, tta=tta)  # type: ignore[arg-type]
    first, second = run.predictions(split), again.predictions(split)
    a, b = (each["logits"].argmax(axis=1) for each in (first, second))
    shares = [metrics.accuracy(each["logits"], each["labels"]) for each in (first, second)]
    what, detail = f"{split} answers", " and ".join(f"{100 * share:.2f} %" for share in shares)
    if np.array_equal(first["logits"], second["logits"]):
        return Finding(what, "same bits", f"{100 * shares[0]:.2f} % right, n = {len(a):,}")
    test = metrics.mcnemar(first["labels"], a, b)
    detail += f" right, n = {len(a):,}, McNemar's p = {test.p_value:.2g}"
    noise = test.p_value > LEVEL
    return Finding(what, "within noise" if noise else "differs", detail, wrong=decided or not noise)


def _tta(run: Run, split: str) -> str:
    """The views that the run's kept answers are means over."""
    kept = run.predictions(split)
    return str(kept["tta"] if "tta" in kept else run.recipe.get("tta", "none"))


def _measured(run: Run, split: str, tta: str) -> bool:
    """Whether a run that was made again before has these answers already."""
    return (run.path / f"predictions-{split}.npz").exists() and _tta(run, split) == tta
