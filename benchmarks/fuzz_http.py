"""Damaged requests, each a function of the seed: what does the server make of them?

    python benchmarks/fuzz_http.py --requests 2000 --seed 0 --out http.json

Whole requests, valid ones, are cut, repeated, overwritten and mixed byte by byte, heads, boundaries
and pictures alike, and sent over connections of their own. Nothing may be answered 5xx, stay
without an end, or leave the server unable to answer the next one. The limits on time are a second
here, so that a body whose declared length never comes is given up soon.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from competitors import describe_measurement
from http_load import Server, connect, get, post, predict_request, running
from measuring import positive
from PIL import Image

from cifarlab.files import write_json
from cifarlab.predict import load_predictor
from cifarlab.serve import Limits, create_app, serve

AT_ONCE = 32
PATIENCE = 60.0  # seconds: the limits on head, body and answer end far sooner
DICTIONARY = (
    *(b"\r\n", b"\r\n\r\n", b"\0", b"\xff" * 8, b"--cifarlab-load", b"--cifarlab-load--\r\n"),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(b"Content-Type: multipart/form-data\r\n", b'filename="', b"name=", b"; boundary=", b"%00"),
    *(b"Content-Encoding: gzip\r\n", b"Range: bytes=0-\r\n", b"Upgrade: websocket\r\n", b"[" * 99),
    *(b'{"inputs":', b"1e999", b"-1", b"null", b"true", b"?view=true&explain=true", b"HTTP/9.9"),
)
Random = np.random.Generator


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=positive, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="cifar10", help="what `cifarlab serve` takes")
    parser.add_argument("--out", type=Path, help="write the result as JSON here")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def whole_requests(side: int, name: str) -> list[bytes]:
    """Valid requests to every route."""
    picture = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    made = []
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, kind)
        made += [predict_request(f"a.{kind}", buffer.getvalue(), q) for q in ("", "?view=true")]
    shape = [1, side, side, 3]
    tensor = {"name": "images", "datatype": "UINT8", "shape": shape, "data": [7] * (side**2 * 3)}
    infer = json.dumps({"id": "1", "inputs": [tensor]}).encode()
    made += [post(f"/v2/models/{name}/infer", b"application/json", infer)] * 4
    paths = ("/", "/docs", "/metrics", "/openapi.json", "/v1/model", "/v2", f"/v2/models/{name}")
    return made + [get(path) for path in paths]


def flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for place in random.integers(0, len(data), random.integers(1, 9)):
        changed[place] = random.integers(0, 256)
    return bytes(changed)


def cut(data: bytes, random: Random) -> bytes:
    return data[: random.integers(1, len(data) + 1)]


def insert(data: bytes, random: Random) -> bytes:
    place = random.integers(0, len(data))
    return data[:place] + DICTIONARY[random.integers(len(DICTIONARY))] + data[place:]


def in_head(data: bytes, random: Random) -> bytes:
    """A dictionary's word at the beginning of a line of the head, or within one."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    number = random.integers(len(lines))
    word = DICTIONARY[random.integers(len(DICTIONARY))].rstrip(b"\r\n")
    lines[number : number + random.integers(0, 2)] = [word]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def repeat(data: bytes, random: Random) -> bytes:
    begin, end = sorted(random.integers(0, len(data), 2))
    return data[:end] + data[begin:end] * int(random.integers(1, 4)) + data[end:]


def drop(data: bytes, random: Random) -> bytes:
    begin, end = sorted(random.integers(0, len(data), 2))
    return data[:begin] + data[end:] or b"\r\n"


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (flip, cut, insert, in_head, repeat, drop)


def mutated(number: int, seed: int, valid: list[bytes]) -> bytes:
    """The request of that number: the same whenever it is asked for."""
    random = np.random.default_rng([seed, number])
    data = valid[random.integers(len(valid))]
    for _ in range(random.integers(1, 4)):
        data = MUTATIONS[random.integers(len(MUTATIONS))](data, random)
    return with_true_length(data) if random.random() < 0.7 else data


def with_true_length(data: bytes) -> bytes:
    """The head's declared length put right, so that what is damaged is the body, and is read."""
    head, gap, body = data.partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"(?i)content-length: \d+", length, head) + gap + body


async def fuzz(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    side = load_predictor(arguments.model).image_size
    valid = whole_requests(side, "fuzzed")
    healthy = [await ask(server, request) for request in valid]
    assert set(healthy) == {200}, healthy
    turn = iter(range(arguments.requests))
    found: dict[int, int] = {}

    async def one() -> None:
        for number in turn:
            found[number] = await ask(server, mutated(number, arguments.seed, valid))

    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    after = [await ask(server, request) for request in valid]
    memory = server.rss_mib()
    return {
        "requests": len(found),
        "seed": arguments.seed,
        "statuses": dict(sorted(Counter(found.values()).items())),
        "server_errors": [n for n, status in found.items() if status >= 500 and status != 503],
        "hung": [n for n, status in found.items() if status < 0],
        "answers_after": after == healthy,
        "running": server.process.poll() is None,
        "rss_mib": None if math.isnan(memory) else memory,  # JSON has no nan
    }


async def ask(server: Server, request: bytes) -> int:
    """The status; 0: the connection was closed without one; -1: neither came."""
    connection = await connect(server)
    try:
        return (await asyncio.wait_for(connection.ask(request), PATIENCE)).status
    except TimeoutError:
        return -1
    finally:
        connection.close()


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    if arguments.serve:
        limits = Limits(head_seconds=1, body_seconds=1)
        app = create_app(load_predictor(arguments.model), limits, name="fuzzed")
        serve(app, "127.0.0.1", 0, lambda to: print(json.dumps({"address": to}), flush=True))
        return
    described = describe_measurement()
    command = [sys.executable, __file__, "--serve", "--model", arguments.model]
    with running(command) as server:
        result = asyncio.run(fuzz(server, arguments))
    print(json.dumps(result, indent=2))
    if arguments.out:
        write_json(arguments.out, {**described, **result})
    sounds = not result["server_errors"] and not result["hung"] and result["answers_after"]
    sys.exit(0 if sounds else 1)


if __name__ == "__main__":
    main()
