"""Small data in CIFAR-10's official forms, for tests to write where they need it."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cifarlab.data import cifar

Records = dict[str, np.ndarray]


def small_records(per_batch: int = 20) -> Records:
    """Batch name to uint8 (per_batch, 3073), every label equally often."""
    random = np.random.default_rng(0)
    records = random.integers(0, 256, (6, per_batch, 3073), dtype=np.uint8)
    records[:, :, 0] = np.arange(per_batch) % 10
    return dict(zip(cifar.BATCHES, records, strict=True))


def make_official(monkeypatch: pytest.MonkeyPatch, records: Records) -> None:
    """Let the package take these records for the official CIFAR-10."""
    sums = {batch: hashlib.sha256(rows.tobytes()).hexdigest() for batch, rows in records.items()}
    monkeypatch.setattr(cifar, "SHA256", sums)
    monkeypatch.setattr(cifar, "BATCH_SIZE", len(records["test_batch"]))


def binary_files(records: Records) -> dict[str, bytes]:
    names = "".join(f"{name}\n" for name in (*cifar.CLASS_NAMES, ""))
    return {
        **{f"{batch}.bin": rows.tobytes() for batch, rows in records.items()},
        "batches.meta.txt": names.encode(),
    }


def python_files(records: Records, protocol: int = 2) -> dict[str, bytes]:
    """Batches as Python 3 pickles them."""
    meta = {"label_names": list(cifar.CLASS_NAMES), "num_vis": 3072}
    values = {
        batch: {"data": rows[:, 1:], "labels": rows[:, 0].tolist(), "batch_label": batch}
        for batch, rows in records.items()
    }
    return {
        name: pickle.dumps(value, protocol)
        for name, value in {**values, "batches.meta": meta}.items()
    }


def python2_batch(rows: np.ndarray) -> bytes:
    """A batch as Python 2 pickled the official ones: every text is a byte string."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    pixels = rows[:, 1:].tobytes()
    dtype = (
        b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        b"(K\x01(M" + len(rows).to_bytes(2, "little") + b"M\x00\x0ct" + dtype + b"\x89"
        b"T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    )
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in rows[:, 0]) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, files: dict[str, bytes], inside: str = "cifar-10-batches-py") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{inside}/{name}" if inside else name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
