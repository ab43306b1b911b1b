"""``/v1``: pictures in a form, answers in JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from cifarlab.serve.limits import EXPLAINED_PLACES, Limits
from cifarlab.serve.schemas import Error, ModelCard, NonePredicted, Predictions
from cifarlab.serve.service import Service, unless_gone
from cifarlab.serve.uploads import FIELD, read_uploads

router = APIRouter(tags=["pictures"])

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The body is damaged."},
    408: {"model": Error, "description": "The body came too slowly."},
    413: {"model": Error, "description": "The body is too large, or holds too much."},
    415: {"model": Error, "description": "The body is of another content type."},
    503: {"model": Error, "description": "Too much to do; Retry-After says when to come back."},
}
_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {
                    FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "JPEG, PNG, WebP, GIF, BMP, TIFF or PPM files",
                    }
                },
            }
        }
    },
}


@router.get("/v1/model", summary="What this server answers with", response_model=ModelCard)
async def model_card(request: Request) -> Response:
    """The model's classes, how it sees pictures, and what a request may ask for."""
    service: Service = request.app.state.service
    limits = service.limits
    bounds = {
        "images": limits.request_images,
        "explained_images": limits.explained_images,
        "body_bytes": limits.body_bytes,
    }
    names = list(service.model.predictor.class_names)
    return JSONResponse({**_model(service), "class_names": names, "limits": bounds})


@router.post(
    "/v1/predict",
    summary="What is in these pictures?",
    response_model=Predictions,
    openapi_extra={"requestBody": _FORM},
    responses={
        **REFUSALS,
        422: {"model": NonePredicted | Error, "description": "No picture there could be read."},
    },
)
async def predict(
    request: Request,
    view: Annotated[bool, Query(description="Add what the model saw of each.")] = False,
    explain: Annotated[bool, Query(description="Add where it saw the class.")] = False,
) -> Response:
    """One answer a picture, in order. A picture that cannot be read has its `error` set and does
    not fail the others; where none can be read, the status is 422."""
    service: Service = request.app.state.service
    service.check()
    with service.memory.hold() as more_bytes:
        with service.uploads.hold(1):
            uploads = await read_uploads(request, service.limits, more_bytes)
        if explain and len(uploads) > service.limits.explained_images:
            most = service.limits.explained_images
            raise HTTPException(413, f"explain=true takes {most} pictures at most")
        with service.queue.hold(_places(len(uploads), explain, service.limits)):
            work = service.predict(uploads, view=view, explain=explain)
            answers = await unless_gone(request.receive, work)
    if answers is None:
        raise HTTPException(499, "the client left")
    found: dict[str, Any] = {"model": _model(service), "predictions": answers}
    if any(answer["error"] is None for answer in answers):
        return JSONResponse(found)
    return JSONResponse({"error": answers[0]["error"], **found}, 422)


def _places(pictures: int, explain: bool, limits: Limits) -> int:
    """Places that a request takes in the queue; a small one is all that an explanation takes."""
    return min(pictures * EXPLAINED_PLACES, limits.queue_images) if explain else pictures


def _model(service: Service) -> dict[str, Any]:
    predictor = service.model.predictor
    size, fit = predictor.image_size, predictor.fit
    return {"name": service.model.name, "image_size": size, "fit": fit}
