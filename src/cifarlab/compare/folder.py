"""All that a comparison leaves in a folder: figures, what flipped, how seeds agree, curves."""

from __future__ import annotations

from pathlib import Path

from cifarlab.compare import Comparison
from cifarlab.compare.curves import histories, write_curves
from cifarlab.compare.flips import write_flips
from cifarlab.compare.tables import write_agreement
from cifarlab.files import write_json


def write_comparison(found: Comparison, out: str | Path) -> list[Path]:
    """Write what `compare` found into a folder.

    Args:
        found: what `compare` returned.
        out: a folder, made if need be.

    Returns:
        The files that were written: those of `flips.write_flips`; ``agreement.csv``
        (`tables.write_agreement`) over seeds; ``curves.png``, the learning curves of those that
        have a history (`curves.write_curves`); ``comparison.json``, every figure.

    Raises:
        CifarlabError: the folder cannot be written.

    Example:
        >>> import cifarlab, numpy as np
        >>> labels = np.array([0, 0, 1])
        >>> np.savez(tmp_path / "a.npz", predictions=np.array([0, 0, 0]), labels=labels)
        >>> np.savez(tmp_path / "b.npz", predictions=np.array([0, 1, 0]))
        >>> found = cifarlab.compare(tmp_path / "a.npz", tmp_path / "b.npz")
        >>> [path.name for path in write_comparison(found, tmp_path / "out")]
        ['flips.csv', 'comparison.json']
    """
    out = Path(out)
    written = write_flips(found, out)
    if any(each.several for each in found.contestants):
        written.append(out / "agreement.csv")
        write_agreement(found, written[-1])
    if write_curves(histories(found), out / "curves.png"):
        written.append(out / "curves.png")
    written.append(out / "comparison.json")
    write_json(written[-1], found.to_json())
    return written
