"""CIFAR-10 (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images") in its
official forms: binary and python version, as archive or folder.

A record of the binary version is a label byte and 3,072 pixel bytes: red, green, blue, each 32 x 32
by rows. Python batches are brought to the same records, so that both forms are checked by the same
six SHA-256 sums, of each batch's records, wherever they came from and however they were packed.

What must be the official data, and what may be one's own in the same form:

- The dataset named ``cifar10`` is the official one, checked record for record.
- A folder or archive given by its path and called as the official ones are (``OFFICIAL_NAMES``)
  claims to be CIFAR-10: once a batch has the official 10,000 records, all must have its sums.
- Anything else given by its path needs whole records with labels 0 to 9 in all six batches, and is
  named after its file. To use changed CIFAR-10 data, give it a name of its own.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarlab.data.containers import Bytes, read_members
from cifarlab.data.dataset import Split
from cifarlab.data.pickles import PIXELS, batch_records, label_names
from cifarlab.errors import DataError

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
RECORD = 1 + PIXELS
BATCH_SIZE = 10_000
SHA256 = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
BATCHES = tuple(SHA256)  # train in official order, then test
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
ARCHIVES = (
    "cifar-10-binary.tar.gz",
    "cifar-10-python.tar.gz",
    "cifar-10-batches-py.tar.gz",  # Keras 2
    "cifar-10-batches-py-target_archive",  # Keras 3
)
OFFICIAL_NAMES = (*FOLDERS, *ARCHIVES)

_BINARY_META, _PYTHON_META = "batches.meta.txt", "batches.meta"


class Cifar(NamedTuple):
    """What `read_cifar` found: class names, splits, whether it is the official CIFAR-10."""

    class_names: tuple[str, ...]
    train: Split
    test: Split
    official: bool


def is_cifar_folder(path: Path) -> bool:
    """Whether a folder holds any CIFAR-10 batch, so that it must be meant as one."""
    # os.path, not Path: a folder that may not be read is no error here, it is just not one
    return any(os.path.isfile(path / name) for batch in BATCHES for name in (batch, f"{batch}.bin"))


def find_in(folder: Path) -> Path | None:
    """CIFAR-10 in a folder: itself, a folder in it, Keras's nested one, or an archive in it."""
    nested = [folder / name for name in FOLDERS]
    for wrapper in ("cifar-10-batches-py-target", "cifar-10-batches-py"):  # as Keras 3 unpacks
        nested.append(folder / wrapper / "cifar-10-batches-py")
    for candidate in (folder, *nested):
        if is_cifar_folder(candidate):
            return candidate
    return next((folder / name for name in ARCHIVES if os.path.isfile(folder / name)), None)


def read_cifar(path: Path, *, must_be_official: bool) -> Cifar:
    """Read a CIFAR-10 folder or archive.

    Args:
        path: folder of batches, or archive.
        must_be_official: refuse anything but the official 60,000 images.

    Returns:
        class names and splits; train is uint8 (50000, 32, 32, 3) for the official data.

    Raises:
        DataError: it is damaged, incomplete, of another form, or not what it claims to be.
    """
    names = [name for batch in BATCHES for name in (batch, f"{batch}.bin")]
    members = read_members(path, {*names, _BINARY_META, _PYTHON_META})
    binary = any(f"{batch}.bin" in members for batch in BATCHES)
    suffix = ".bin" if binary else ""
    missing = [batch + suffix for batch in BATCHES if batch + suffix not in members]
    if len(missing) == len(BATCHES):
        raise DataError(f"{path} holds no CIFAR-10 batches (such as data_batch_1); give another")
    if missing:
        raise DataError(
            f"{path} is incomplete: it has no {' and no '.join(missing)}; "
            "fetch it again from its source"
        )
    records = {
        batch: _records(members.pop(batch + suffix), f"{path}: {batch}{suffix}", binary)
        for batch in BATCHES
    }
    official = _is_official(records, path, must_be_official)
    class_names = CLASS_NAMES if official else _class_names(members, path, binary)
    *train, test = records.values()
    return Cifar(class_names, _split(train), _split([test]), official)


def _records(content: Bytes, name: str, binary: bool) -> Bytes:
    """uint8 (N, 3073), N at least 1, labels 0 to 9."""
    if not binary:
        records = batch_records(content, name)
    elif len(content) % RECORD:
        raise DataError(
            f"{name} has {len(content):,} bytes, no whole number of {RECORD:,}-byte records: it is "
            "cut off or of another form; fetch it again from its source"
        )
    else:
        records = content.reshape(-1, RECORD)
    if len(records) == 0:
        raise DataError(f"{name} is empty; fetch it again from its source")
    if (worst := int(records[:, 0].max())) > 9:
        raise DataError(f"{name} has the label {worst}; CIFAR-10 has 0 to 9, so it is damaged")
    return records


def _is_official(records: dict[str, Bytes], path: Path, must_be: bool) -> bool:
    """Whether every batch has its official sum; an error where it should and has not."""
    claims = path.name in OFFICIAL_NAMES and any(len(r) == BATCH_SIZE for r in records.values())
    for batch, rows in records.items():
        digest = hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()
        if digest == SHA256[batch]:
            continue
        if must_be or claims:
            raise DataError(
                f"{path}: {batch} is not the official CIFAR-10's: {len(rows):,} records with "
                f"SHA-256 {digest[:12]}…, not {BATCH_SIZE:,} with {SHA256[batch][:12]}…; delete it "
                "and fetch it again (data of your own: give its path, under another name)"
            )
        return False
    return True


def _class_names(members: dict[str, Bytes], path: Path, binary: bool) -> tuple[str, ...]:
    """The ten names in the meta file, CIFAR-10's where there is none."""
    meta = _BINARY_META if binary else _PYTHON_META
    if meta not in members:
        return CLASS_NAMES
    if binary:
        lines = members[meta].tobytes().decode("utf-8", "replace").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = label_names(members[meta], f"{path}: {meta}")
    if len(names) != 10:
        raise DataError(f"{path}: {meta} has {len(names)} class names; CIFAR-10 has ten")
    return tuple(names)


def _split(batches: list[Bytes]) -> Split:
    """Records to uint8 (N, 32, 32, 3) and labels, in one copy."""
    ends = np.cumsum([0, *map(len, batches)])
    images: NDArray[np.uint8] = np.empty((ends[-1], 32 * 32, 3), dtype=np.uint8)
    for start, end, rows in zip(ends, ends[1:], batches, strict=False):
        for channel in range(3):  # by channel: five times as fast as a transposed copy
            first = 1 + 1024 * channel
            images[start:end, :, channel] = rows[:, first : first + 1024]
    labels = np.concatenate([rows[:, 0] for rows in batches]).astype(np.int64)
    return Split(images.reshape(-1, 32, 32, 3), labels)
