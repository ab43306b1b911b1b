"""The server as a process: connections that dawdle, signals, and whatever a generator sends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from cifarlab.cli import main
from cifarlab.serve import Limits, create_app
from cifarlab.serve.model import ServedModel
from cifarlab.serve.server import _protocol, is_loopback, listen
from cifarlab.serve.service import Service
from tint_server import tint

EXAMPLES = int(os.environ.get("CIFARLAB_EXAMPLES", "4"))  # of requests for each operation
PROGRAM = Path(__file__).with_name("tint_server.py")
PPM = b"P6 1 1 255 \xff\x00\x00"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.ppm"\r\n\r\n'
    + PPM
    + b"\r\n--b--\r\n"
)
HEAD = (
    b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % len(FORM)
)


@contextmanager
def serving(slow_ms: float = 0.0, **limits: float) -> Iterator[tuple[subprocess.Popen, str]]:
    command = [sys.executable, str(PROGRAM), json.dumps([slow_ms, limits])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def answer(connection: socket.socket) -> tuple[int, dict]:
    """The status and the JSON of the next answer."""
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0 or len(received) < end + 4 + length(received):
        piece = connection.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return int(received.split()[1]), json.loads(received[end + 4 :])


def length(received: bytes) -> int:
    return int(received.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(head_seconds=1, body_seconds=1) as (_, address):
        yield address


def test_what_is_not_http_gets_json_too(address: str) -> None:
    with connect(address) as connection:
        connection.sendall(b"HELLO\r\n\r\n")
        status, found = answer(connection)
        assert (status, list(found)) == (400, ["error"])


CLOSED = b"[closed]"


def wire(application: Callable, service: Service, sent: bytes) -> bytes:
    """What a connection on which `sent` arrives at once is answered, until the server closes it."""

    async def scene() -> bytes:
        state, transport = ServerState(), Mock(**{"is_closing.return_value": False})
        transport.get_extra_info.return_value = None
        transport.close.side_effect = lambda: transport.write(CLOSED)
        config = uvicorn.Config(application, log_config=None)
        connection = _protocol(service)(config, state, {})
        connection.connection_made(transport)
        connection.data_received(sent)
        while state.tasks:
            await asyncio.gather(*state.tasks)
        connection.connection_lost(None)
        return b"".join(call.args[0] for call in transport.write.call_args_list)

    return asyncio.run(scene()).partition(CLOSED)[0]


def test_the_answer_to_a_damaged_head_request_has_no_body() -> None:
    """Nor does the attempt to give it one end in a traceback in the log."""
    app = create_app(tint())
    chunked = b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n"
    head, gap, body = wire(app, app.state.service, chunked).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert (gap, body) == (b"\r\n\r\n", b"")


def test_the_time_for_a_head_is_not_that_for_a_request_sent_early() -> None:
    """The second request is there before the first is answered: only its answer takes long."""

    async def application(scope, receive, send) -> None:
        await asyncio.sleep(0.2 if scope["path"] == "/slow" else 0)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    service = Service(ServedModel("tint", tint()), Limits(head_seconds=0.05))
    sent = [b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"", b"slow")]
    assert wire(application, service, b"".join(sent)).count(b"HTTP/1.1 204") == 2


def test_a_head_that_does_not_come_ends_the_connection(address: str) -> None:
    with connect(address) as silent, connect(address) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHo")
        assert answer(slow)[0] == 408
        assert slow.recv(1) == silent.recv(1) == b""


def test_a_body_that_does_not_come_is_given_up(address: str) -> None:
    with connect(address) as connection:
        connection.sendall(HEAD + FORM[:20])
        assert answer(connection)[0] == 408


def test_a_connection_serves_many_requests(address: str) -> None:
    with connect(address) as connection:
        for _ in range(3):
            connection.sendall(HEAD + FORM)
            status, found = answer(connection)
            assert (status, found["predictions"][0]["label"]) == (200, "red")


def test_an_answers_body_does_not_wait_for_its_head_to_be_acknowledged() -> None:
    with listen("127.0.0.1", 0) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch there")
def test_sigterm_answers_all_that_was_accepted() -> None:
    with serving(slow_ms=30, batch_images=2) as (process, address):
        connections = [connect(address) for _ in range(16)]
        for connection in connections:
            connection.sendall(HEAD + FORM)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert [answer(connection)[0] for connection in connections] == [200] * 16
        assert process.wait(timeout=20) == 0
        with pytest.raises(OSError, match="refused"):
            connect(address)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM to catch there")
def test_what_takes_too_long_is_dropped_in_the_end() -> None:
    slow = {"slow_ms": 60, "batch_images": 4, "drain_seconds": 1}  # small batches warm up sooner
    with serving(**slow) as (process, address), connect(address) as waiting:
        waiting.sendall(HEAD.replace(b"predict", b"predict?explain=true") + FORM)  # five seconds
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_no_made_up_request_breaks_it(address: str) -> None:
    """Requests generated from the OpenAPI document: no 5xx, and no status that it does not name."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    chosen = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    quick = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in (each.ok() for each in schema.get_all_operations()):

        @quick
        @given(case=operation.as_strategy())
        def no_server_error(case) -> None:
            case.call_and_validate(checks=chosen)

        no_server_error()


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    from cifarlab.errors import CifarlabError
    from cifarlab.serve import serve

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CifarlabError, match=f"cannot listen at 127.0.0.1 port {port}"):
            serve(create_app(tint()), "127.0.0.1", port)


def test_the_command_announces_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(app, host: str, port: int, on_start) -> None:
        limits = app.state.service.limits
        assert (limits.queue_images, limits.request_images, limits.body_bytes) == (8, 8, 2**20)
        on_start(f"http://{host}:{port}")

    monkeypatch.setattr("cifarlab.predict.load_predictor", lambda model: tint())
    monkeypatch.setattr("cifarlab.serve.serve", run)
    words = ["serve", "--model", "some/tint.onnx", "--host", "0.0.0.0", "--queue", "8"]
    words += ["--max-body", "1", "--json"]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"address": "http://0.0.0.0:8000", "model": "tint"}
    assert err.count("warning: anybody who can reach 0.0.0.0") == 1


def test_a_model_is_called_as_its_folder_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "quick-1.5").mkdir()
    monkeypatch.chdir(tmp_path / "quick-1.5")
    monkeypatch.setattr("cifarlab.predict.load_predictor", lambda model: tint())
    monkeypatch.setattr("cifarlab.serve.serve", lambda app, host, port, on_start: on_start(host))
    for model in (".", "../quick-1.5/", str(tmp_path / "quick-1.5")):
        with pytest.raises(SystemExit):
            main(["serve", "--model", model, "--json"])
        assert json.loads(capsys.readouterr().out)["model"] == "quick-1.5"


@pytest.mark.parametrize(
    ("host", "own"), [("localhost", True), ("::1", True), ("::", False), ("example.org", False)]
)
def test_which_addresses_stay_on_this_machine(host: str, own: bool) -> None:
    assert is_loopback(host) is own
