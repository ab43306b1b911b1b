"""What an audit found, image by image, and how it is written: a CSV file and contact sheets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from cifarlab import files
from cifarlab.audit.duplicates import Pairs
from cifarlab.data import Split

SHOWN = 40  # findings on a contact sheet
SHEETS = {
    "leak": "leaks.png",
    "duplicate": "duplicates.png",
    "label": "label-suspects.png",
    "outlier": "outliers.png",
}


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Args:
        kind: ``"leak"`` (a copy in another split), ``"duplicate"`` (a copy in the same split),
            ``"label"`` (probably a wrong label) or ``"outlier"``.
        split, index, file: which image; `file` is None where it came from none.
        score: similarity in [0, 1] of copies, margin in (0, 1] of labels, deviations of outliers.
        other_split, other_index, other_file: the copy.
        exact: whether a copy has the very same pixels.
        given: the label's name, None where labels were not opened.
        other_given: that of the copy.
        suggested: the more probable label.
        evidence: what speaks for a copy (docs/audit.md), for those who want only the surest.
    """

    kind: str
    split: str
    index: int
    file: str | None
    score: float
    other_split: str | None = None
    other_index: int | None = None
    other_file: str | None = None
    exact: bool | None = None
    given: str | None = None
    other_given: str | None = None
    suggested: str | None = None
    evidence: float | None = None


class Catalogue:
    """The images of an audit's splits by one row number: the splits follow each other.

    Args:
        splits: name to images.
        labels: name to labels, int (N,), where those may be known.
        class_names: C names.
    """

    def __init__(
        self,
        splits: Mapping[str, Split],
        labels: Mapping[str, np.ndarray],
        class_names: tuple[str, ...],
    ):
        self.splits, self.labels, self.class_names = dict(splits), dict(labels), class_names
        sizes = [len(split) for split in splits.values()]
        self.start = dict(zip(splits, np.cumsum([0, *sizes]).tolist(), strict=False))
        self.split_of = np.repeat(list(splits), sizes)

    def place(self, row: int) -> tuple[str, int, str | None]:
        """Split, index in it and file of a row."""
        name = str(self.split_of[row])
        index, names = row - self.start[name], self.splits[name].names
        return name, index, None if names is None else str(names[index])

    def label(self, name: str, index: int) -> str | None:
        """The class name that an image was given; None where its labels are not known."""
        return self.class_names[self.labels[name][index]] if name in self.labels else None

    def copies(self, pairs: Pairs) -> list[Finding]:
        """Pairs of duplicates as findings; the later split (test) stands first."""
        found = []
        rows = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        for i, (first, second) in enumerate(rows):
            (split, index, file), other = self.place(second), self.place(first)
            found.append(
                Finding(
                    "duplicate" if split == other[0] else "leak",
                    *(split, index, file, round(float(pairs.similarity[i]), 4)),
                    *other,
                    exact=bool(pairs.exact[i]),
                    given=self.label(split, index),
                    other_given=self.label(*other[:2]),
                    evidence=round(float(pairs.evidence[i]), 1),
                )
            )
        return found

    def single(
        self,
        kind: str,
        name: str,
        index: np.ndarray,
        score: np.ndarray,
        suggested: np.ndarray | None = None,
    ) -> list[Finding]:
        """Findings of single images of the split `name`; `suggested` are classes, if there are."""
        better = [None] * len(index)
        if suggested is not None:
            better = [self.class_names[label] for label in suggested]
        return [
            Finding(
                kind,
                *self.place(self.start[name] + row),
                round(float(value), 4),
                given=self.label(name, row),
                suggested=instead,
            )
            for row, value, instead in zip(index.tolist(), score, better, strict=True)
        ]


def write_csv(path: Path, findings: Iterable[Finding]) -> None:
    """All findings, a row each, under the names of `Finding`'s fields."""
    columns = [field.name for field in fields(Finding)]
    files.write_csv(path, columns, map(astuple, findings), files=["file", "other_file"])


def draw_sheets(out: Path, findings: Iterable[Finding], splits: Mapping[str, Split]) -> list[str]:
    """A contact sheet for each kind that was found, the first of each; the files' paths."""
    from cifarlab import plots  # brings matplotlib

    by_kind: dict[str, list[Finding]] = {kind: [] for kind in SHEETS}
    for finding in findings:
        by_kind[finding.kind].append(finding)
    written = []
    for kind, some in by_kind.items():
        if shown := some[:SHOWN]:
            images = np.stack([_picture(finding, splits) for finding in shown])
            titles = [_title(finding) for finding in shown]
            figure = plots.image_grid(images, titles, columns=8)
            plots.save_png(figure, out / SHEETS[kind], dpi=100)
            written.append(str(out / SHEETS[kind]))
    return written


def _picture(finding: Finding, splits: Mapping[str, Split]) -> np.ndarray:
    """The image, or the two copies side by side: uint8 (S, S or 2 S + 2, 3)."""
    image = splits[finding.split].images[finding.index]
    if finding.other_split is None or finding.other_index is None:
        return image
    other = splits[finding.other_split].images[finding.other_index]
    gap = np.full((len(image), 2, 3), 255, np.uint8)
    return np.concatenate([image, gap, other], axis=1)


def _title(finding: Finding) -> str:
    """Two short lines: where it is, and what is the matter."""
    here = f"{finding.split} {finding.index}"
    if finding.other_split is not None:
        return f"{here}\n{finding.other_split} {finding.other_index}: {finding.score:.2f}"
    if finding.suggested is not None:
        return f"{here}: {finding.given}\nrather {finding.suggested}?"
    return f"{here}\n{finding.given}: {finding.score:.1f}"
