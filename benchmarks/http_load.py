"""What the measurements of the server share: the server as a process, and a cheap client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = b"cifarlab-load"


@dataclass(frozen=True)
class Server:
    """A running server: its process, and where it answers."""

    process: subprocess.Popen[str]
    address: str

    @property
    def place(self) -> tuple[str, int]:
        parts = urlsplit(self.address)
        return str(parts.hostname), int(parts.port or 80)

    def rss_mib(self) -> float:
        """Resident memory; nan where the system does not tell."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
        return int(found[1]) / 1024 if found else float("nan")


@contextmanager
def serving(words: Sequence[str]) -> Iterator[Server]:
    """`cifarlab serve` with more words, on a free port, until the block ends."""
    command = [sys.executable, "-m", "cifarlab", "serve", "--port", "0", "--json", *words]
    with running(command) as server:
        yield server


@contextmanager
def running(command: Sequence[str]) -> Iterator[Server]:
    """A program whose first line is JSON with its ``address``."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise SystemExit("the server did not start; its reason is above")
        yield Server(process, json.loads(line)["address"])
    finally:
        process.kill()
        process.wait()


def predict_request(name: str, content: bytes, query: str = "") -> bytes:
    """A whole request to ``/v1/predict`` with one picture."""
    part = f'Content-Disposition: form-data; name="images"; filename="{name}"\r\n\r\n'.encode()
    body = b"--" + BOUNDARY + b"\r\n" + part + content + b"\r\n--" + BOUNDARY + b"--\r\n"
    kind = b"multipart/form-data; boundary=" + BOUNDARY
    return post(f"/v1/predict{query}", kind, body)


def post(path: str, kind: bytes, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n".encode()
    return head + b"Content-Type: " + kind + b"\r\n\r\n" + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@dataclass(frozen=True)
class Answer:
    """Status 0: the connection ended without one."""

    status: int
    body: bytes
    seconds: float


class Connection(asyncio.Protocol):
    """A connection that is kept, with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[Answer] | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    async def ask(self, request: bytes) -> Answer:
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._began = time.perf_counter()
        if self.closed:
            return Answer(0, b"", 0.0)
        self._transport.write(request)  # type: ignore[attr-defined]
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        if self._received.startswith(b"HTTP/1.1 100"):
            del self._received[: end + 4]
            return self.data_received(b"")
        found = re.search(rb"content-length: (\d+)", self._received[:end].lower())
        if len(self._received) >= end + 4 + int(found[1] if found else 0):
            status, body = int(self._received[9:12]), bytes(self._received[end + 4 :])
            self._settle(status, body)
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._settle(0, b"")

    def _settle(self, status: int, body: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            seconds = time.perf_counter() - self._began
            self._answer.set_result(Answer(status, body, seconds))

    def close(self) -> None:
        self._transport.close()


async def connect(server: Server) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, *server.place)
    return connection


async def fetch(server: Server, path: str) -> Answer:
    connection = await connect(server)
    try:
        return await connection.ask(get(path))
    finally:
        connection.close()


def counted(text: str, name: str) -> dict[str, float]:
    """The samples of a metric in Prometheus's text: labels to value."""
    pattern = re.compile(rf"^{name}(?:\{{(.*)\}})? (\S+)$", re.MULTILINE)
    return {labels: float(value) for labels, value in pattern.findall(text)}
