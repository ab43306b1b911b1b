"""Refusal at the door: a full server sends away who comes before it does anything else for them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from cifarlab.serve.front import RETRY_AFTER_SECONDS, SECURITY_HEADERS
from cifarlab.serve.places import Overloaded
from cifarlab.serve.service import Service


class Gate:
    """ASGI middleware outside everything else.

    What a refusal costs is taken from those who were let in. So it is made without routing, without
    a look at the query or the body, and of parts that are the same each time.

    Args:
        app: the rest.
        service: knows whether there is room.
        routes: the path of each POST that needs room, with its route as documented.
    """

    def __init__(self, app: ASGIApp, service: Service, routes: Mapping[str, str]):
        self.app, self.service, self.routes = app, service, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on where there is room for it, or where it needs none."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.routes:
            try:
                self.service.check()
            except Overloaded as refusal:
                await self._refuse(self.routes[scope["path"]], refusal, send)
                return
        await self.app(scope, receive, send)

    async def _refuse(self, route: str, refusal: Overloaded, send: Send) -> None:
        began, telemetry = time.perf_counter(), self.service.telemetry
        telemetry.rejected(refusal.reason)
        telemetry.answered(route, 503)
        await send({"type": "http.response.start", "status": 503, "headers": [*_HEADERS]})
        await send({"type": "http.response.body", "body": _BODY})
        telemetry.took(route, time.perf_counter() - began)


_BODY = json.dumps({"error": str(Overloaded(""))}, separators=(",", ":")).encode()
_HEADERS = (
    (b"content-length", str(len(_BODY)).encode()),
    (b"content-type", b"application/json"),
    (b"retry-after", str(RETRY_AFTER_SECONDS).encode()),
    *SECURITY_HEADERS,
)
