"""The server: a page for people and an API for programs, around one predictor.

server.py   sockets, signals, connections        app.py        the application, put together
gate.py     refusals while it is full            places.py     admission
front.py    headers, counts, errors as JSON      v1.py, v2.py  the two APIs; schemas.py
uploads.py  bodies, as far as the limits go      service.py    from bytes to answers
limits.py   every bound                          batching.py   many requests, one batch
docs.py     /docs                                telemetry.py  every metric
page/       the page for people
"""

from __future__ import annotations

from cifarlab.errors import MissingExtraError

try:
    from cifarlab.serve.app import create_app
    from cifarlab.serve.limits import Limits
    from cifarlab.serve.server import serve
except ModuleNotFoundError as error:
    raise MissingExtraError(f"{error.name}, which the server needs,", "serve") from error

__all__ = ["Limits", "create_app", "serve"]
