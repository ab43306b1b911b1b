"""What every request passes first and every answer last: headers, counts, and no traceback."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cifarlab.serve.places import Overloaded
from cifarlab.serve.service import Service
from cifarlab.serve.telemetry import Telemetry

RETRY_AFTER_SECONDS = 1
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
    }.items()
)

log = logging.getLogger("cifarlab.serve")


class Front:
    """ASGI middleware around everything else.

    Args:
        app: the rest.
        telemetry: is told of each answer, as it begins and as it ends.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry):
        self.app, self.telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, started = time.perf_counter(), False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = secured(message.get("headers", ()))
                self.telemetry.answered(route(scope), message["status"])
            elif not message.get("more_body"):
                self.telemetry.took(route(scope), time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception:  # a mistake of ours: the log has it all, the client the fact
            log.exception("%s %s", scope["method"], scope["path"])
            if not started:
                failed = JSONResponse(
                    {"error": "the server made a mistake; its log says which"}, 500
                )
                await failed(scope, receive, answer)


def secured(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`headers` with those of `SECURITY_HEADERS` that they do not set themselves."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    return [*given, *(each for each in SECURITY_HEADERS if each[0] not in names)]


def route(scope: Scope) -> str:
    """The route as documented, so that what clients make up adds no name to the metrics."""
    return getattr(scope.get("route"), "path", "other")


def add_error_answers(app: FastAPI, service: Service) -> None:
    """Have every error answered as ``{"error": …}``."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        words = error.detail
        if error.status_code in (404, 405) and words == HTTPStatus(error.status_code).phrase:
            words = f"nothing answers {request.method} {request.url.path}; see /docs"
        return JSONResponse({"error": words}, error.status_code, headers=error.headers)

    async def overloaded(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Overloaded)
        service.telemetry.rejected(error.reason)
        headers = {"retry-after": str(RETRY_AFTER_SECONDS)}
        return JSONResponse({"error": str(error)}, 503, headers=headers)

    async def misunderstood(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg']}"}, 422)

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(Overloaded, overloaded)
    app.add_exception_handler(RequestValidationError, misunderstood)
