"""``cifarlab serve``: a page for people and an API for programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from cifarlab.cli import console
from cifarlab.cli.console import Json

MIB = 2**20


def register(app: typer.Typer) -> None:
    """Add the command ``serve`` to ``app``."""
    app.command()(serve)


def serve(
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="A run folder, an exported file, or a name.")
    ] = "cifar10",
    host: Annotated[str, typer.Option(help="Address; others can reach 0.0.0.0.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    queue: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pictures taken in; more are refused.")
    ] = 128,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Pictures that the model sees at a time; 32, or the queue."
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.001, metavar="SECONDS", help="Until a picture is answered.")
    ] = 5.0,
    max_images: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="In one request; 32, or the queue.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, metavar="MIB", help="Of one request.")] = 32,
    json: Json = False,
) -> None:
    """Serve a model: a page for people, an API for programs.

    Ctrl-C or SIGTERM stops it, once every request that was accepted is answered.
    """
    from cifarlab.predict import load_predictor
    from cifarlab.serve import Limits, create_app
    from cifarlab.serve import serve as run
    from cifarlab.serve.server import is_loopback

    limits = Limits(
        queue_images=queue,
        batch_images=batch or min(queue, Limits.batch_images),
        deadline_seconds=deadline,
        request_images=max_images or min(queue, Limits.request_images),
        body_bytes=max_body * MIB,
        memory_bytes=max(max_body * MIB, Limits.memory_bytes),
    )
    path = Path(os.path.abspath(model))  # "." has no name of its own
    name = path.name if path.is_dir() else path.stem
    app = create_app(load_predictor(model), limits, name=name)

    def announce(address: str) -> None:
        if not is_loopback(host):
            console.err.print(f"warning: anybody who can reach {host} can send pictures here")
        console.say(f"{name} at {address}, its API at {address}/docs; Ctrl-C stops it")
        if json:
            console.emit({"address": address, "model": name})

    run(app, host, port, announce)
