"""``/docs``: the OpenAPI document as one plain page, which asks nothing of any other server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page(request: Request) -> Response:
    """Every operation: what it takes, what it answers, and how to call it with curl."""
    document = request.app.openapi()
    base = str(request.base_url).rstrip("/")
    schemas = document["components"]["schemas"]
    operations = list(_operations(document, base))
    text = _template().render(info=document["info"], operations=operations, schemas=schemas)
    return HTMLResponse(text)


@router.get("/docs.css")
async def style() -> Response:
    """The page's looks."""
    return Response(_file("docs.css"), media_type="text/css")


def add_openapi(app: FastAPI, *models: type[BaseModel]) -> None:
    """Have the OpenAPI document name `models` too, which are read by hand, not by FastAPI."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            for model in models:
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                nested = schema.pop("$defs", {})
                document["components"]["schemas"].update({**nested, model.__name__: schema})
            _without_fastapi_errors(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _without_fastapi_errors(document: dict[str, Any]) -> None:
    """Drop the answers that FastAPI says every operation may give: here they have another shape."""
    foreign = "HTTPValidationError"
    for methods in document["paths"].values():
        for operation in methods.values():
            if foreign in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in (foreign, "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def type_name(schema: dict[str, Any]) -> str:
    """A schema's type in a few words; the names in it are those of other schemas.

    Example:
        >>> type_name({"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}})
        'list of Tensor'
        >>> type_name({"anyOf": [{"type": "string"}, {"type": "null"}]})
        'string or null'
    """
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_name(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {type_name(schema['items'])}"
    if values := schema.get("additionalProperties"):
        return f"object of {type_name(values)}"
    return schema.get("format") or schema.get("type", "any")


def _operations(document: dict[str, Any], base: str) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            yield {
                "parameters": [],
                **operation,
                "method": method.upper(),
                "path": path,
                "body": {kind: type_name(each["schema"]) for kind, each in content.items()},
                "answers": dict(_answers(operation)),
                "curl": _curl(base + path, content),
            }


def _answers(operation: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Status to its meaning and the type of its body."""
    for status, answer in sorted(operation["responses"].items()):
        kinds = [each.get("schema", {}) for each in answer.get("content", {}).values()]
        words = answer["description"].replace("Successful Response", "Done.")
        yield status, (words, ", ".join(map(type_name, kinds)))


def _curl(address: str, content: dict[str, Any]) -> str:
    if "multipart/form-data" in content:
        return f"curl -F images=@photo.jpg {address}"
    if "application/json" in content:
        return f"curl -H 'Content-Type: application/json' -d @request.json {address}"
    return f"curl {address}"


@cache
def _file(name: str) -> str:
    return resources.files("cifarlab.serve").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    # Most of what an OpenAPI document may say is optional: what is absent is shown as nothing.
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["type_name"] = type_name
    return environment.from_string(_file("docs.html"))
