"""The server: a page for people and an API for programs, around one predictor.

server.py   sockets, signals, connections        app.py        the application, put together
front.py    headers, counts, errors as JSON      v1.py, v2.py  the two APIs; schemas.py
uploads.py  bodies, as far as the limits go      service.py    from bytes to answers
places.py   admission                            batching.py   many requests, one batch
limits.py   every bound                          telemetry.py  every metric
docs.py     /docs                                page/         the page for people
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
