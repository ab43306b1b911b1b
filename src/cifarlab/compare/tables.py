"""For each image, how far the seeds of a recipe agree, as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cifarlab.compare import Comparison, Contestant
from cifarlab.files import write_csv

AGREEMENT = ("contestant", "index", "label", "right", "runs", "agreement")


def write_agreement(found: Comparison, path: str | Path) -> None:
    """Write a row for each image and contestant of several seeds.

    ``right`` of the ``runs`` have the image right; ``agreement`` is the share of pairs of runs that
    give it the same class, be it right or wrong.

    Args:
        found: what `compare` returned; contestants of one model have no rows.
        path: of the CSV file.

    Raises:
        CifarlabError: the file cannot be written.

    Example:
        >>> import cifarlab, numpy as np
        >>> for name, answers in {"a": [0, 0], "b": [0, 1], "c": [1, 1], "d": [1, 1]}.items():
        ...     np.savez(tmp_path / f"{name}.npz", predictions=np.array(answers), labels=[0, 1])
        >>> a, b, c, d = (tmp_path / f"{name}.npz" for name in "abcd")
        >>> write_agreement(cifarlab.compare([a, b], [c, d]), tmp_path / "agreement.csv")
        >>> print((tmp_path / "agreement.csv").read_text(), end="")
        contestant,index,label,right,runs,agreement
        a.npz + b.npz,0,0,2,2,1.0000
        a.npz + b.npz,1,1,1,2,0.0000
        c.npz + d.npz,0,0,0,2,1.0000
        c.npz + d.npz,1,1,2,2,1.0000
    """
    several = [each for each in found.contestants if each.several]
    rows = (row for each in several for row in _rows(each, found))
    write_csv(path, AGREEMENT, rows)


def _rows(contestant: Contestant, found: Comparison) -> Iterable[Sequence[object]]:
    names, runs = found.class_names, len(contestant.members)
    answered = zip(found.labels, contestant.runs_right, contestant.agreement, strict=True)
    for index, (label, right, alike) in enumerate(answered):
        yield contestant.name, index, names[label], right, runs, f"{alike:.4f}"
