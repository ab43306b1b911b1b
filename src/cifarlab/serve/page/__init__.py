"""The page for people."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from cifarlab.predict import Predictor

_PLAIN = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>cifarlab</title>'
    '<h1>cifarlab</h1><p>This server answers <a href="/docs">programs</a>.'
)


def add_page(app: FastAPI, predictor: Predictor, *, max_bytes: int = 0) -> None:
    """Serve a page for people at ``/``."""

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(_PLAIN)
