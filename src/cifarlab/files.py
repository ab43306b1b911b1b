"""Files written so that a kill at any moment leaves the old state or the new one.

A file is written under a temporary name in its own folder, flushed to the disk, then renamed (POSIX
``rename`` replaces atomically).
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cifarlab.errors import CifarlabError, RunError

# What spreadsheets begin a formula with, wide forms too (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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
    """Replace ``path`` by ``content`` in UTF-8 with Unix line ends.

    A file's name need not be valid UTF-8: a byte of it that is not becomes ``\\udc..``, which JSON
    reads back as that byte.
    """
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON; NaN is refused with ``ValueError``."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    files: Collection[str] = (),
) -> None:
    """Replace `path` by a CSV table: UTF-8, a heading, Unix line ends; None is an empty cell.

    The name of a file or a class may be a formula, which a spreadsheet would run. Such text comes
    after an apostrophe, and in the columns `files` after ``./``: that still names the same file.

    Raises:
        CifarlabError: it cannot be written.

    Example:
        >>> write_csv(tmp_path / "a.csv", ["file", "label"], [["=1.png", "=A1"]], files=["file"])
        >>> (tmp_path / "a.csv").read_text()
        "file,label\\n./=1.png,'=A1\\n"
    """
    before = ["./" if name in files else "'" for name in columns]
    lines = [_line(map(_inert, row, before)) for row in (columns, *rows)]
    # A file's name need not be valid UTF-8: it comes out as the bytes that it is.
    write_bytes(path, "".join(lines).encode("utf-8", "surrogateescape"))


def _line(cells: Iterable[object]) -> str:
    """A row of a table. `csv` quotes what ends its own rows, so both parts of ``\\r\\n``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n") + "\n"


def _inert(cell: object, before: str) -> object:
    """`cell`; `before` before it if it is text that is a formula, which no number is."""
    if not isinstance(cell, str) or len(cell) < 2 or not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return before + cell
    return cell


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


@contextmanager
def locked(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Take turns, for the moment of the block, with all who ask this of the file `path`.

    The file must stay: one that is replaced is another file to those who come later. Where files
    cannot be locked (Windows, some network drives) nobody waits, and nobody waits for longer than
    `patience` seconds: what is written then matters more than what two at once may lose.
    """
    descriptor = _lock(path, patience)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(path: Path, patience: float) -> int | None:
    """A descriptor to close when done, or None; locked if that could be had in time."""
    try:
        import fcntl  # not on Windows

        descriptor = os.open(path, os.O_RDWR)  # NFS locks only what may be written
    except (ImportError, OSError):
        return None
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break
    return descriptor


def cannot_write(path: Path, error: OSError) -> CifarlabError:
    """The one-line error for a failed write, with what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CifarlabError(
            f"cannot write {path}: the disk is full; free some space and run the command again"
        )
    return CifarlabError(f"cannot write {path}: {error.strerror or error}")
