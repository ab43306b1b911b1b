"""Does a file predict what its run predicts? Asked of the file in its own runtime, on its own.

The program `probe` opens the file in a process in which this package cannot be imported; what it
answers is set against the run's own model, and all of that is kept as JSON beside the file.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cifarlab import backend
from cifarlab.export import probe
from cifarlab.export.building import run_python
from cifarlab.export.cases import Case
from cifarlab.metrics import softmax

LARGEST_DIFFERENCE = 1e-4  # of a probability; float32 in another order differs by 1e-6
# Two classes this close in probability have no order that float32 could keep.
TIE = 1e-5
POINTS = 0.3  # of accuracy on validation that int8 may give up

Answers = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Reference:
    """What the run's own model says.

    Attributes:
        logits: float32 (N, C) by the name of the case.
        temperature: divides them.
    """

    logits: Mapping[str, np.ndarray]
    temperature: float

    def probabilities(self, case: str) -> np.ndarray:
        """Calibrated, float64 (N, C)."""
        return self.calibrate(self.logits[case])

    def calibrate(self, logits: np.ndarray) -> np.ndarray:
        """Softmax of logits divided by the temperature."""
        return softmax(logits.astype(np.float64) / self.temperature)


def ask(
    format: str, file: Path, cases: Sequence[Case], slower: Path | None
) -> tuple[Answers, dict]:
    """What `file` answers in its own runtime, and what `probe` says of that.

    Args:
        slower: a file of the same format to measure its speed against.

    Raises:
        ExportError: the runtime cannot open it or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder, "cases.npz"), Path(folder, "answers.npz")
        np.savez(given, **{f"{case.name}@{case.batch}": case.images for case in cases})
        words = ["-P", probe.__file__, format, str(file), str(given), str(taken)]
        output = run_python(words + [str(slower)] * bool(slower), f"{file.name} does not run")
        with np.load(taken) as arrays:
            answers = {
                case.name: {name: arrays[f"{case.name}/{name}"] for name in probe.OUTPUTS}
                for case in cases
            }
    return answers, json.loads(output.splitlines()[-1])


def compare(case: Case, reference: Reference, answer: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """How far a file's answers to a case are from the reference's.

    Returns:
        ``n``; ``top1_agreement``, of how many images the class is the same; ``ties``, of how many
        others the two classes are as good as equally probable; ``largest_difference`` of a
        probability, given or computed from the given logits: None where one is no number.

    Example:
        >>> case = Case("two", np.zeros((2, 1, 1, 3), np.uint8), 1)
        >>> logits = np.array([[0.0, 1.0], [2.0, 0.0]])
        >>> reference = Reference({"two": logits}, 1.0)
        >>> answer = {"logits": logits, "probabilities": reference.probabilities("two")}
        >>> compare(case, reference, answer)["top1_agreement"]
        2
    """
    expected = reference.probabilities(case.name)
    given, computed = answer["probabilities"], reference.calibrate(answer["logits"])
    best, theirs = expected.argmax(axis=1), given.argmax(axis=1)
    each = np.arange(len(expected))
    margin = expected[each, best] - expected[each, theirs]
    largest = max(float(np.abs(values - expected).max()) for values in (given, computed))
    return {
        "name": case.name,
        "n": len(expected),
        "batch": case.batch,
        "top1_agreement": int((best == theirs).sum()),
        "ties": int(((best != theirs) & (margin <= TIE)).sum()),
        "largest_difference": largest if np.isfinite(given).all() and largest < np.inf else None,
    }


def total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rows of `compare` as one."""
    differences = [row["largest_difference"] for row in rows]
    counts = {key: sum(row[key] for row in rows) for key in ("n", "top1_agreement", "ties")}
    return counts | {"largest_difference": None if None in differences else max(differences)}


def given_up(case: Case, reference: Reference, answer: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Accuracy on validation of the run's model and of the int8 file, and the points between."""
    right = [
        float((values.argmax(axis=1) == case.labels).mean())
        for values in (reference.logits[case.name], answer["probabilities"])
    ]
    points = 100 * (right[0] - right[1])
    return {
        "split": "val",
        "n": len(case.images),
        "accuracy_float32": right[0],
        "accuracy_int8": right[1],
        "points_given_up": points,
    }


def failures(figures: Mapping[str, Any]) -> list[str]:
    """Why a file is not to be used, in words; none where it is.

    Example:
        >>> failures({"n": 9, "top1_agreement": 8, "ties": 0, "largest_difference": 1e-5})
        ['1 of 9 images get another class']
    """
    found, largest = [], figures["largest_difference"]
    if largest is None:
        found.append("it gives what is no number")
    if validation := figures.get("validation"):
        if validation["points_given_up"] > POINTS + 1e-9:
            found.append(
                f"int8 gives up {validation['points_given_up']:.2f} points of accuracy on "
                f"{validation['n']:,} validation images, more than {POINTS}"
            )
        return found
    if others := figures["n"] - figures["top1_agreement"] - figures["ties"]:
        found.append(f"{others:,} of {figures['n']:,} images get another class")
    if largest is not None and largest > LARGEST_DIFFERENCE:
        found.append(f"a probability differs by {largest:.1e}, more than {LARGEST_DIFFERENCE:g}")
    return found


def certify(
    format: str,
    file: Path,
    cases: Sequence[Case],
    reference: Reference,
    slower: Path | None = None,
) -> dict[str, Any]:
    """The certificate of a file, JSON-ready; ``passed`` says whether it may be used.

    Args:
        cases: those with labels are validation images of an int8 file, the others any format's.
        slower: the float32 form of an int8 file.

    Raises:
        ExportError: the runtime cannot open the file.
    """
    answers, said = ask(format, file, cases, slower)
    rows = [compare(case, reference, answers[case.name]) for case in cases]
    judged = [case for case in cases if case.labels is not None]
    figures = total(rows)
    if judged:
        figures["validation"] = given_up(judged[0], reference, answers[judged[0].name])
    why = failures(figures)
    limits = {"points_given_up": POINTS} if judged else {"largest_difference": LARGEST_DIFFERENCE}
    return {
        "file": file.name,
        "sha256": sha256(file),
        "format": format,
        "int8": bool(judged),
        "passed": not why,
        "failures": why,
        "limits": limits,
        **figures,
        "tie": TIE,
        "cases": rows,
        **said,
        "reference": {"backend": backend.configure(), "precision": "float32"},
        "versions": backend.versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def sha256(path: Path) -> str:
    """Of a file; of a folder that of its files' names and sums, in the order of the names.

    Example:
        >>> _ = (tmp_path / "a").write_text("abc")
        >>> sha256(tmp_path / "a")[:12]
        'ba7816bf8f01'
    """
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(each for each in path.rglob("*") if each.is_file())
    lines = [f"{sha256(each)}  {each.relative_to(path).as_posix()}\n" for each in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
