"""`serve`: the application on a socket, until a signal; then every accepted request is answered."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from types import FrameType

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from cifarlab.errors import CifarlabError
from cifarlab.serve.front import SECURITY_HEADERS
from cifarlab.serve.service import Service

BACKLOG = 2048
# After SIGTERM, for requests that are on their way already: they were sent to a server that ran.
GRACE_SECONDS = 0.3
# How long a decoding thread may keep the interpreter from the event loop, which has refusals to
# send; Python's own 5 ms, several times for one request, would be felt.
SWITCH_SECONDS = 0.0005


def serve(
    app: FastAPI, host: str, port: int, on_start: Callable[[str], object] = lambda address: None
) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then those that were accepted, and return.

    Args:
        app: what `create_app` gave.
        host: address to listen on.
        port: 0 for any that is free.
        on_start: is told the server's address, ``http://host:port``, once it answers.

    Raises:
        CifarlabError: nobody can listen there.
    """
    service: Service = app.state.service
    listener = listen(host, port)
    config = uvicorn.Config(
        app,
        http=_protocol(service),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(service.limits.drain_seconds)),
    )
    for name in ("uvicorn.error", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # clients' mistakes are no news
    sys.setswitchinterval(SWITCH_SECONDS)
    with _signals_end_in_peace():
        _Server(config, service, lambda: on_start(_address(host, listener))).run([listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        CifarlabError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections inherit it. Asyncio asks for it itself, but not of a socket made like this;
        # without it an answer's body waits some 40 ms for the acknowledgement of its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CifarlabError(
            f"cannot listen at {host} port {port}: {reason}; choose another with --host or --port"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at `host`.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    """Uvicorn's server, which drains in three steps: not ready, the grace, no new connections."""

    def __init__(self, config: uvicorn.Config, service: Service, on_start: Callable[[], object]):
        super().__init__(config)
        self._service, self._on_start = service, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: each full collection would look through all of it again, which
        # stops the loop for a tenth of a second on a busy machine.
        gc.collect()
        gc.freeze()
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.ready = False
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        await super().shutdown(sockets)


@contextmanager
def _signals_end_in_peace() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it once more when it is done: let nothing come of it,
    so that a drained server ends with status 0."""
    caught = (signal.SIGINT, signal.SIGTERM)
    before = {signum: signal.signal(signum, lambda *_: None) for signum in caught}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _protocol(service: Service) -> type[H11Protocol]:
    """Uvicorn's HTTP/1.1, with a limit on the time for a request's head, and errors as JSON."""

    class Protocol(H11Protocol):
        _limit: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._look_for_head()

        def on_response_complete(self) -> None:
            # Also where a body was refused unread: what is left of it may take as long.
            self._await_head()
            super().on_response_complete()
            self._look_for_head()  # the next one may have been sent before this answer

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self._end(400, f"this is not HTTP: {msg}")

        def _end(self, status: int, words: str) -> None:
            """Close the connection, with an answer where none has begun."""
            if self.cycle is not None:  # the application may be at work on this request
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                with suppress(h11.LocalProtocolError):  # there is no body in an answer to HEAD
                    for event in _whole_answer(status, words):
                        self.transport.write(self.conn.send(event) or b"")
                service.telemetry.answered("other", status)
            self.transport.close()

        def _head_is_late(self) -> None:
            if self.conn.trailing_data[0]:
                self._end(408, f"the head did not arrive within {service.limits.head_seconds:g} s")
            else:
                self.transport.close()  # nothing was asked

        def _await_head(self) -> None:
            self._stop_waiting()
            self._limit = self.loop.call_later(service.limits.head_seconds, self._head_is_late)

        def _look_for_head(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()  # it is there; the body has a limit of its own

        def _stop_waiting(self) -> None:
            if self._limit is not None:
                self._limit.cancel()
                self._limit = None

    return Protocol


def _whole_answer(status: int, words: str) -> list[h11.Event]:
    """The events of an answer that ends its connection."""
    body = json.dumps({"error": words}).encode()
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
    ]
    answer = h11.Response(status_code=status, headers=head, reason=HTTPStatus(status).phrase)
    return [answer, h11.Data(data=body), h11.EndOfMessage()]


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
