"""The page for people: choose, drop, paste or photograph pictures, and see what the model says.

    facts.py     what the page says of the model     index.html    the page (Jinja2)
    examples.py  pictures to try, drawn in code      page.css      its looks
    page.js      how pictures get in                 card.js       one picture and its answer
    server.js    the requests, with retries          camera.js     a photograph at a desk

Everything comes from this package and by the server itself: the policy that each answer carries
forbids inline scripts and styles, and any other server.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

import jinja2
from fastapi import FastAPI, HTTPException, Request, Response

from cifarlab.data.decode import EXTENSIONS, MAX_BYTES, MAX_PIXELS
from cifarlab.predict import Predictor
from cifarlab.serve.front import SECURITY_HEADERS
from cifarlab.serve.page.examples import draw, examples_for
from cifarlab.serve.page.facts import limits, model_facts, words

__all__ = ["add_page"]

ENVELOPE = 4096  # bytes at most that a request has around a picture: multipart's lines, its name
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HEADERS = {name.decode(): value.decode() for name, value in SECURITY_HEADERS} | {
    "cache-control": "no-cache",  # kept, but asked after: an upgrade shows at once
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


def add_page(app: FastAPI, predictor: Predictor, *, max_bytes: int = MAX_BYTES) -> None:
    """Serve the page at ``/`` of `app`; it sends its pictures to ``v1/predict`` beside it.

    Args:
        app: the server, which answers ``POST /v1/predict``.
        predictor: whose classes and figures the page names.
        max_bytes: that the server takes in one request; the page refuses a file that would make
            a larger one before it is sent.

    Example:
        >>> app = FastAPI()
        >>> add_page(app, Predictor(("cat", "dog"), 32, "crop", 0.5, logits=lambda images: images))
        >>> sorted(route.path for route in app.routes if "page" in route.path)
        ['/page/examples/{name}.jpg', '/page/{name}']
    """
    page = _page(predictor, min(MAX_BYTES, max_bytes - ENVELOPE)).encode()
    pictures = {each.name: each for each in examples_for(predictor.class_names)}

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return _answer(request, page, "text/html")

    @app.get("/favicon.ico", include_in_schema=False)
    async def favicon(request: Request) -> Response:
        return await file(request, "icon.svg")

    @app.get("/page/examples/{name}.jpg", include_in_schema=False)
    def example(request: Request, name: str) -> Response:  # in a thread: drawing takes a while
        if name not in pictures:
            raise HTTPException(404)
        return _answer(request, draw(pictures[name]), "image/jpeg")

    @app.get("/page/{name}", include_in_schema=False)
    async def file(request: Request, name: str) -> Response:
        if name not in _files():
            raise HTTPException(404)
        return _answer(request, _files()[name], KINDS[name.rpartition(".")[2]])


@cache
def _files() -> dict[str, bytes]:
    """The files that the page loads, read once; no request can name any other."""
    folder = resources.files(__name__)
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.name.rpartition(".")[2] in KINDS
    }


def _answer(request: Request, content: bytes, kind: str) -> Response:
    """200 with the content, or 304 to a browser that has it."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    headers = HEADERS | {"etag": etag}
    if etag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _page(predictor: Predictor, file_bytes: int) -> str:
    """The page's HTML, with what is true of this model and this server."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("cifarlab", "serve/page"),
        autoescape=True,  # class names are other people's text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["words"] = words
    return templates.get_template("index.html").render(
        class_names=predictor.class_names,
        side=predictor.image_size,
        facts=model_facts(predictor),
        limits=limits(predictor),
        calibrated=predictor.temperature != 1,
        refuses=predictor.known_threshold is not None,
        examples=examples_for(predictor.class_names),
        accept=",".join(sorted(EXTENSIONS)),
        file_bytes=file_bytes,
        max_megapixels=MAX_PIXELS // 10**6,
    )
