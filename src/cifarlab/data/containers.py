"""Named files out of a folder or a tar archive. Nothing is ever extracted to the disk.

Of an archive only plain files are read, only those asked for by name, and only where they may lie:
at the top or in one folder. Links, absolute paths and paths with ``..`` are passed over. The whole
stream is read, so that gzip's own checksum is tested and an archive that is cut off is noticed.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from cifarlab.errors import DataError

MAX_UNPACKED = 2 * 2**30  # CIFAR-10 unpacks to 184 MB; what unpacks without end must stop somewhere

Bytes = NDArray[np.uint8]


def is_archive(path: Path) -> bool:
    """Whether a file begins as gzip or as tar; its name does not matter."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar"


def read_members(path: Path, wanted: Collection[str]) -> dict[str, Bytes]:
    """The content of those files of a folder or an archive that have a wanted name.

    Args:
        path: a folder, a ``.tar.gz`` or a ``.tar``.
        wanted: base names.

    Returns:
        name to its bytes, uint8 (length,); names that are not there are left out.

    Raises:
        DataError: it cannot be read, is damaged or cut off, has a name twice, or is too large.

    Example:
        >>> (tmp_path / "a.bin").write_bytes(b"12")
        2
        >>> read_members(tmp_path, ["a.bin", "b.bin"])
        {'a.bin': array([49, 50], dtype=uint8)}
    """
    try:
        return _from_folder(path, wanted) if path.is_dir() else _from_archive(path, wanted)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is damaged or cut off ({path.stat().st_size:,} bytes; {error}); "
            "delete it and fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _from_folder(folder: Path, wanted: Collection[str]) -> dict[str, Bytes]:
    found = {}
    for name in wanted:
        path = folder / name
        if path.is_file():
            size = path.stat().st_size
            _check_size(path, size)
            # mapped, not read: no second copy of 184 MB; an empty file cannot be mapped
            mapped = np.memmap(path, dtype=np.uint8, mode="r") if size else np.empty(0, np.uint8)
            found[name] = np.asarray(mapped)
    return found


def _from_archive(path: Path, wanted: Collection[str]) -> dict[str, Bytes]:
    found: dict[str, Bytes] = {}
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                _check_size(path, member.offset_data + member.size)
                name = _plain_name(member)
                if name is None or name not in wanted:
                    continue
                if name in found:
                    raise DataError(f"{path} holds {name} twice; fetch it again from its source")
                found[name] = _content(archive, member)
        _drain(stream, path)
    return found


def _plain_name(member: tarfile.TarInfo) -> str | None:
    """The base name of a plain file at the top or in one folder, else None."""
    place = PurePosixPath(member.name)
    if not member.isreg() or place.is_absolute() or ".." in place.parts or len(place.parts) > 2:
        return None
    return place.name


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Bytes:
    file = archive.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise EOFError(f"{member.name} ends after {len(content):,} of {member.size:,} bytes")
    return np.frombuffer(content, dtype=np.uint8)


def _drain(stream: IO[bytes], path: Path) -> None:
    """Read what follows the last member, up to gzip's checksum."""
    while stream.read(2**20):
        _check_size(path, stream.tell())


def _check_size(path: Path, size: int) -> None:
    if size > MAX_UNPACKED:
        raise DataError(
            f"{path} unpacks to {size:,} bytes or more; CIFAR-10 has 184 million, so this is not it"
        )
