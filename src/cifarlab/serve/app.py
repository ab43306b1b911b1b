"""The application: routes, metrics, documentation and page around one model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from cifarlab import __version__
from cifarlab.predict import Predictor
from cifarlab.serve import docs, schemas, v1, v2
from cifarlab.serve.front import Front, add_error_answers
from cifarlab.serve.gate import Gate
from cifarlab.serve.limits import Limits
from cifarlab.serve.model import ServedModel
from cifarlab.serve.page import add_page
from cifarlab.serve.service import Service

NEED_ROOM = ("/v1/predict", "/v2/models/{name}/infer")  # routes, refused while the server is full


def create_app(
    predictor: Predictor, limits: Limits | None = None, *, name: str = "model"
) -> FastAPI:
    """The server as an ASGI application, for tests and for servers other than `serve`.

    Time for a request's head, and the drain on SIGTERM, belong to the connection: `serve` has them.

    Args:
        predictor: what answers.
        limits: the bounds to keep; the defaults where None.
        name: of the model, in addresses and answers.

    Example:
        >>> from starlette.testclient import TestClient
        >>> brightness = lambda images: images.mean(axis=(1, 2))[:, :2] * [-1, 1] + [128, -128]
        >>> predictor = Predictor(("dark", "light"), 32, "crop", 0.5, brightness)
        >>> with TestClient(create_app(predictor)) as client:
        ...     answer = client.post("/v1/predict", files={"images": b"P6 1 1 255 \\xff\\xff\\xff"})
        >>> answer.json()["predictions"][0]["label"]
        'light'
    """
    service = Service(ServedModel(name, predictor), limits or Limits())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="cifarlab",
        version=__version__,
        summary="What is in these pictures?",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Front, telemetry=service.telemetry)
    needing_room = {route.format(name=name): route for route in NEED_ROOM}
    app.add_middleware(Gate, service=service, routes=needing_room)
    add_error_answers(app, service)
    app.include_router(v1.router)
    app.include_router(v2.router)
    app.include_router(docs.router)
    app.add_api_route("/metrics", metrics, response_class=PlainTextResponse, tags=["operation"])
    add_page(app, predictor, max_bytes=service.limits.body_bytes)
    docs.add_openapi(app, schemas.InferenceRequest)
    return app


async def metrics(request: Request) -> Response:
    """The server's counters for Prometheus, in its text format."""
    service: Service = request.app.state.service
    return Response(service.telemetry.text(), media_type=CONTENT_TYPE_LATEST)
