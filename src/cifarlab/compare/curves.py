"""Learning curves of the runs that are compared, in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.compare import Comparison, named

History = Sequence[Mapping[str, Any]]


def histories(found: Comparison) -> dict[str, History]:
    """The history of each member of each contestant by its name; empty of a file of predictions.

    Example:
        >>> import cifarlab, numpy as np
        >>> for name in "ab":
        ...     np.savez(tmp_path / f"{name}.npz", predictions=np.array([0]), labels=np.array([0]))
        >>> histories(cifarlab.compare(tmp_path / "a.npz", tmp_path / "b.npz"))
        {'a.npz': [], 'b.npz': []}
    """
    members = [member for each in found.contestants for member in each.members]
    names = named([[member] for member in members])
    return {
        name: member.run.history if member.run is not None else []
        for name, member in zip(names, members, strict=True)
    }


def write_curves(every: Mapping[str, History], path: str | Path) -> bool:
    """Write `plots.curves_together` of the histories that have an epoch as PNG.

    Args:
        every: what `histories` returned.
        path: of the file; it is not written where no history has an epoch.

    Returns:
        Whether it was written.

    Raises:
        CifarlabError: the file cannot be written.

    Example:
        >>> write_curves({"a": [{"epoch": 1, "accuracy": 0.5}], "b": []}, tmp_path / "a.png")
        True
        >>> write_curves({"b": []}, tmp_path / "b.png")
        False
    """
    from cifarlab import plots  # brings matplotlib

    drawn = {name: history for name, history in every.items() if history}
    if not drawn:
        return False
    plots.save_png(plots.curves_together(drawn, accuracy_column(drawn.values())), path)
    return True


def accuracy_column(every: Iterable[History]) -> str:
    """The column in which curves are compared: validation's accuracy where any has it.

    Example:
        >>> accuracy_column([[{"epoch": 1, "accuracy": 0.5, "val_accuracy": None}]])
        'accuracy'
    """
    validated = any(row.get("val_accuracy") is not None for history in every for row in history)
    return "val_accuracy" if validated else "accuracy"
