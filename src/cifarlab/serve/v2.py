"""``/v2``: the Open Inference Protocol, for programs that have tensors already.

The REST part of version 2 as KServe and others define it
(https://github.com/kserve/open-inference-protocol), with JSON tensors; no binary extension.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from cifarlab import __version__
from cifarlab.runtimes import INPUT, LOGITS, PROBABILITIES
from cifarlab.serve import schemas
from cifarlab.serve.service import Service, unless_gone
from cifarlab.serve.uploads import content_type, read_body
from cifarlab.serve.v1 import REFUSALS

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

OUTPUTS = (PROBABILITIES, LOGITS)
PLATFORM = "cifarlab_predictor"
_BYTES_A_VALUE, _BYTES_AROUND = 8, 65536  # JSON with a pixel a line is still allowed
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": schemas.Error, "description": "There is no such model here."}
}
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": schemas.Error, "description": "Not yet, or no longer: it is shutting down."}
}
_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceRequest"}}},
}


class Echo(JSONResponse):
    """JSON with a string of the client's, which JSON lets hold half of a character.

    Example:
        >>> Echo({"id": json.loads('"\\\\ud83d"')}).body
        b'{"id":"\\\\ud83d"}'
    """

    def render(self, content: Any) -> bytes:
        """In UTF-8, but for such halves: they are escaped, as JSON and Python alike write them."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


@router.get("", summary="Who answers", response_model=schemas.ServerMetadata)
async def server_metadata() -> Response:
    """Name, version and extensions of the server."""
    return JSONResponse({"name": "cifarlab", "version": __version__, "extensions": []})


@router.get("/health/live", summary="Does the process answer?", response_model=schemas.Live)
async def live() -> Response:
    """True, or no answer at all."""
    return JSONResponse({"live": True})


@router.get(
    "/health/ready",
    summary="Are requests taken?",
    response_model=schemas.Ready,
    responses=_NOT_READY,
)
async def ready(request: Request) -> Response:
    """True from the model's first answer until SIGTERM, however busy the server is."""
    _check_ready(request.app.state.service)
    return JSONResponse({"ready": True})


@router.get(
    "/models/{name}",
    summary="What goes in, what comes out",
    response_model=schemas.ModelMetadata,
    responses=_UNKNOWN,
)
async def model_metadata(request: Request, name: str) -> Response:
    """Names, datatypes and shapes of the model's tensors; -1 stands for any number."""
    service = _service(request, name)
    predictor = service.model.predictor
    size, classes = predictor.image_size, len(predictor.class_names)
    outputs = [{"name": each, "datatype": "FP32", "shape": [-1, classes]} for each in OUTPUTS]
    inputs = [{"name": INPUT, "datatype": "UINT8", "shape": [-1, size, size, 3]}]
    return JSONResponse(
        {"name": name, "versions": [], "platform": PLATFORM, "inputs": inputs, "outputs": outputs}
    )


@router.get(
    "/models/{name}/ready",
    summary="Are requests for this model taken?",
    response_model=schemas.ModelReady,
    responses={**_UNKNOWN, **_NOT_READY},
)
async def model_ready(request: Request, name: str) -> Response:
    """As the server itself."""
    _check_ready(_service(request, name))
    return JSONResponse({"name": name, "ready": True})


@router.post(
    "/models/{name}/infer",
    summary="Tensors in, tensors out",
    response_model=schemas.InferenceResponse,
    openapi_extra={"requestBody": _BODY},
    responses={**REFUSALS, **_UNKNOWN},
)
async def infer(request: Request, name: str) -> Response:
    """`images` UINT8 [n, S, S, 3] in; `probabilities`, calibrated, and `logits` FP32 [n, C] out."""
    service = _service(request, name)
    service.check()
    if content_type(request) != "application/json":
        raise HTTPException(415, "send the tensors as application/json")
    limits, side = service.limits, service.model.predictor.image_size
    most = _BYTES_A_VALUE * limits.request_images * side * side * 3 + _BYTES_AROUND
    with service.memory.hold() as more_bytes:
        with service.uploads.hold(1):
            body = await read_body(request, min(most, limits.body_bytes), limits, more_bytes)
        asked, images = parse(body, side, limits.request_images)
        deadline = time.monotonic() + limits.deadline_seconds
        with service.queue.hold(len(images)):
            rows = await unless_gone(request.receive, service.batcher.rows(list(images), deadline))
    if rows is None:
        raise HTTPException(499, "the client left")
    service.telemetry.images(len(rows))
    logits = np.stack(rows)
    values = {PROBABILITIES: service.model.probabilities(logits), LOGITS: logits}
    outputs = [_tensor(each, values[each]) for each in wanted(asked)]
    identity = {"id": asked["id"]} if asked.get("id") is not None else {}
    return Echo({"model_name": name, **identity, "outputs": outputs})


def parse(body: bytes, side: int, most: int) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The request and its images, uint8 (N, side, side, 3).

    Raises:
        HTTPException: 400 it is not what the protocol says; 413 it has more images than `most`.

    Example:
        >>> tensor = {"name": "images", "shape": [1, 1, 1, 3], "datatype": "UINT8"}
        >>> request = {"inputs": [{**tensor, "data": [7, 8, 9]}]}
        >>> parse(json.dumps(request).encode(), side=1, most=2)[1].tolist()
        [[[[7, 8, 9]]]]
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("id"), str | None):
        raise HTTPException(400, "the body must be an object; its id, if any, a string")
    wanted(asked)
    inputs = asked.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise HTTPException(400, "inputs must hold one tensor")
    return asked, _images(inputs[0], side, most)


def wanted(asked: dict[str, Any]) -> Sequence[str]:
    """The outputs that a request names, or all."""
    outputs = asked.get("outputs") or [{"name": each} for each in OUTPUTS]
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise HTTPException(400, "outputs must be objects with a name")
    names = [each.get("name") for each in outputs]
    if not all(name in OUTPUTS for name in names) or len(set(names)) < len(names):
        raise HTTPException(400, f"outputs may be {' and '.join(OUTPUTS)}, each once")
    return names


def _images(tensor: dict[str, Any], side: int, most: int) -> NDArray[np.uint8]:
    shape, expected = tensor.get("shape"), [side, side, 3]
    if tensor.get("name") != INPUT or tensor.get("datatype") != "UINT8":
        raise HTTPException(400, f"the input must be {INPUT!r} of datatype 'UINT8'")
    if not isinstance(shape, list) or shape[1:] != expected or not _counts(shape[0]):
        raise HTTPException(400, f"shape must be [n, {side}, {side}, 3]. Received: {shape}"[:200])
    if shape[0] > most:
        raise HTTPException(413, f"a request may hold {most} images; it holds {shape[0]}")
    try:
        values = np.asarray(tensor.get("data"))
    except (ValueError, OverflowError):
        raise HTTPException(400, "data is ragged: its rows have different lengths") from None
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 255:
        raise HTTPException(400, "data must be whole numbers from 0 to 255")
    nested = (shape[0], side, side, 3)
    if values.shape not in ((math.prod(nested),), nested):
        raise HTTPException(400, f"data must be flat or of the shape {shape}")
    return values.reshape(nested).astype(np.uint8)


def _counts(value: object) -> bool:
    """Whether it is a number of images; `True` is none, though Python takes it for 1."""
    return type(value) is int and value > 0


def _tensor(name: str, values: NDArray[np.float32]) -> dict[str, Any]:
    flat = values.astype(np.float32).ravel().tolist()
    return {"name": name, "datatype": "FP32", "shape": list(values.shape), "data": flat}


def _service(request: Request, name: str) -> Service:
    service: Service = request.app.state.service
    if name != service.model.name:
        raise HTTPException(404, f"there is no model {name!r} here; there is {service.model.name}")
    return service


def _check_ready(service: Service) -> None:
    if not service.ready:
        raise HTTPException(503, "the server is starting or shutting down")
