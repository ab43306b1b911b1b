"""Files written so that a kill at any moment leaves the old state or the new one.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed (POSIX
``rename`` replaces atomically).
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cifarlab.errors import CifarlabError, RunError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of ``path`` when the block ends without an error.

    Raises:
        CifarlabError: the disk is full, or the folder cannot be written; ``path`` is untouched.

    Example:
        >>> with replacing(tmp_path / "a.txt") as file:
        ...     _ = file.write(b"whole or not at all")
        >>> (tmp_path / "a.txt").read_text()
        'whole or not at all'
    """
    path, made = Path(path), False
    # Short enough for any system, however long the name itself is.
    temporary = path.parent / f".{path.name[:50]}.{os.urandom(6).hex()}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            made = True
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        made = False
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if made:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Replace ``path`` by ``content``."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Replace ``path`` by ``content`` in UTF-8 with Unix line ends."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON; NaN is refused with ``ValueError``."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut (no such call on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have `folder` to oneself within the block, among those who ask.

    The claim goes with the process, however that ends. Where folders cannot be locked (Windows,
    some network drives) none is made.

    Raises:
        RunError: another process has it.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = f"another process is at work on {folder}; wait for it, or stop it"
            raise RunError(words) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
        yield
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> CifarlabError:
    """The one-line error for a failed write, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CifarlabError(
            f"cannot write {path}: the disk is full; free some space and run the command again"
        )
    return CifarlabError(f"cannot write {path}: {error.strerror or error}")
