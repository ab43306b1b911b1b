"""The download against a server of the test's own: cut off, resumed, forged, redirected, shared."""

from __future__ import annotations

import errno
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cifarlab.data import download
from cifarlab.data.download import Archive, UnreachableError, fetch, fetch_any
from cifarlab.errors import CifarlabError, DataError

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()


class Server(ThreadingHTTPServer):
    """Serves `content`; what it does wrong and what it was asked is in its attributes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True  # answers to Range
        self.cut_after: int | None = None  # bytes an answer, then the connection ends
        self.redirect: str | None = None
        self.length: str | None = None  # said to be the content's
        self.seconds_a_chunk = 0.0
        self.asked: list[str | None] = []  # the Range of each request
        self.host = f"127.0.0.1:{self.server_port}"

    def archive(self, content: bytes = CONTENT) -> Archive:
        digest = hashlib.sha256(content).hexdigest()
        return Archive("data.tar.gz", f"http://{self.host}/data.tar.gz", len(content), digest)

    def fetch(self, folder: Path) -> Path:
        return fetch(self.archive(), folder, plain_http={self.host})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        start = int(wanted.split("=")[1].split("-")[0]) if wanted and server.ranges else 0
        if start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if wanted and server.ranges else 200)
        self.send_header("Content-Length", server.length or str(len(body)))
        if wanted and server.ranges:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.content)}")
        self.end_headers()
        body = body[: server.cut_after]
        for first in range(0, len(body), 50_000):
            self.wfile.write(body[first : first + 50_000])
            time.sleep(server.seconds_a_chunk)

    def log_message(self, *_) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def test_an_archive_is_fetched_whole_once(server: Server, tmp_path: Path) -> None:
    path = server.fetch(tmp_path / "new" / "folder")
    assert path.read_bytes() == CONTENT
    assert not path.with_name("data.tar.gz.part").exists()
    assert server.fetch(path.parent) == path
    assert server.asked == [None]


def test_a_connection_that_ends_early_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cut_after = 120_000
    assert server.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=120000-", "bytes=240000-"]


def test_an_earlier_run_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:200_000])
    assert server.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=200000-"]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:200_000])
    assert server.fetch(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 1_000, b"x" * 300_000, b"x" * 300_001])
def test_a_wrong_rest_of_an_earlier_run_is_thrown_away(
    server: Server, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "data.tar.gz.part").write_bytes(left)
    assert server.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] is None


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DataError, match=r"data\.tar\.gz gave a file with SHA-256 .* deleted"):
        server.fetch(tmp_path)
    assert [path.name for path in tmp_path.glob("data*")] == []


def test_a_file_of_another_size_is_not_even_fetched(server: Server, tmp_path: Path) -> None:
    server.content = b"<html>please log in</html>"
    with pytest.raises(UnreachableError, match="gives 26 bytes, not 300,000: it is another file"):
        server.fetch(tmp_path)
    assert list(tmp_path.glob("data*")) == []


def test_a_length_that_is_no_number_says_nothing(server: Server, tmp_path: Path) -> None:
    server.length = "many"
    assert server.fetch(tmp_path).read_bytes() == CONTENT


def test_only_https_is_spoken(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="not https; refused"):
        fetch(server.archive(), tmp_path)
    assert server.asked == []
    for archive in download.CIFAR10:
        assert archive.url.startswith("https://")


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_a_redirect_away_from_https_is_refused(server: Server, tmp_path: Path, scheme: str) -> None:
    server.redirect = f"{scheme}://localhost:{server.server_port}/data.tar.gz"
    with pytest.raises(CifarlabError, match=r"leads to .*localhost.*refused|not allowed"):
        server.fetch(tmp_path)  # only 127.0.0.1 may be spoken to in the clear
    assert server.asked == [None]


def test_a_redirect_within_the_rule_is_followed(server: Server, tmp_path: Path) -> None:
    with Server() as other:
        threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
        server.redirect = f"http://{other.host}/elsewhere"
        path = fetch(server.archive(), tmp_path, plain_http={server.host, other.host})
        other.shutdown()
    assert path.read_bytes() == CONTENT


def test_the_next_server_is_asked_when_one_is_out_of_reach(server: Server, tmp_path: Path) -> None:
    dead = Archive("other.tar.gz", "http://127.0.0.1:9/other.tar.gz", 10, "")
    hosts = {"127.0.0.1:9", server.host}
    path = fetch_any([dead, server.archive()], tmp_path, plain_http=hosts)
    assert path.read_bytes() == CONTENT
    server.content = b""
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9/other.*refused; http.*HTTP 416"):
        fetch_any([dead, server.archive()], tmp_path / "new", plain_http=hosts)


def test_what_arrived_is_kept_for_the_next_try(server: Server, tmp_path: Path) -> None:
    server.cut_after = 0
    (tmp_path / "data.tar.gz.part").write_bytes(CONTENT[:200_000])
    with pytest.raises(UnreachableError, match="200,000 bytes are kept for the next try"):
        server.fetch(tmp_path)
    assert (tmp_path / "data.tar.gz.part").stat().st_size == 200_000


def test_a_full_disk_is_told_in_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, chunk):
            raise OSError(errno.ENOSPC, "No space left on device")

    plain_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode: Full(plain_open(path, mode)) if "b" in mode else None
    )
    with pytest.raises(CifarlabError, match=r"cannot write .*data\.tar\.gz.*disk is full"):
        server.fetch(tmp_path)


def test_processes_at_once_end_in_one_good_copy(server: Server, tmp_path: Path) -> None:
    server.seconds_a_chunk = 0.2
    archive = server.archive()
    program = (
        "from pathlib import Path; from cifarlab.data.download import Archive, fetch; "
        f"fetch({archive!r}, Path({str(tmp_path)!r}), plain_http={{{server.host!r}}})"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert (tmp_path / "data.tar.gz").read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.seconds_a_chunk = 0.3
    archive, part = server.archive(), tmp_path / "data.tar.gz.part"
    program = (
        "from pathlib import Path; from cifarlab.data import download as d; d.CHUNK = 10_000; "
        f"d.fetch(d.{archive!r}, Path({str(tmp_path)!r}), plain_http={{{server.host!r}}})"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    arrived = part.stat().st_size
    assert 0 < arrived < len(CONTENT)
    assert not (tmp_path / "data.tar.gz").exists()
    server.seconds_a_chunk = 0
    assert server.fetch(tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={arrived}-"
