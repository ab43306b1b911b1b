"""What the server does under load: overload, drains, agreement, counts.

    python benchmarks/serving.py --model cifar10 --seconds 60 --out serving.json
    python benchmarks/serving.py --parts overload --serve="--batch 8"

The server is a process of its own; this one is the client. First as many requests as 64
connections can ask, one after the other each (its capacity); then twice that rate, whether it
answers or not; then SIGTERM with 64 requests in flight; then the same images one at a time and
under load.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import shlex
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from http_load import Answer, Connection, Server, connect, counted, fetch, predict_request, serving
from measuring import positive
from PIL import Image

from cifarlab.data import load_dataset

CONNECTIONS = 64
MOST_CONNECTIONS = 2000
PARTS = ("overload", "drain", "agreement")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cifar10", help="what `cifarlab serve` takes")
    parser.add_argument(
        "--serve", type=shlex.split, default=[], metavar="WORDS", help="more for `cifarlab serve`"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=positive, default=60, help="of overload")
    parser.add_argument("--drains", type=positive, default=20)
    parser.add_argument("--images", type=positive, default=10_000, help="compared")
    parser.add_argument("--out", type=Path, help="write the result as JSON here")
    return parser.parse_args()


def requests(count: int) -> list[bytes]:
    """A request for each of the first training images of CIFAR-10, as PNG files named 0, 1, …"""
    made = []
    for number, image in enumerate(load_dataset("cifar10").train.images[:count]):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        made.append(predict_request(str(number), buffer.getvalue()))
    return made


async def closed_loop(server: Server, asked: Sequence[bytes], seconds: float) -> list[Answer]:
    """Answers to `asked`, over and over until the time is over, by `CONNECTIONS` at once."""
    answers: list[Answer] = []
    end, turn = time.perf_counter() + seconds, iter(range(10**9))

    async def one() -> None:
        connection = await connect(server)
        while time.perf_counter() < end:
            answers.append(await connection.ask(asked[next(turn) % len(asked)]))
        connection.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return answers


async def open_loop(
    server: Server, asked: Sequence[bytes], rate: float, seconds: float
) -> tuple[list[Answer], list[float], list[float]]:
    """Answers at `rate` requests a second, whatever has been answered; memory each second; by how
    many seconds each was sent late, for this client had its turn no sooner: its own delay."""
    loop = asyncio.get_running_loop()
    free: list[Connection] = []
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()
    memory: list[float] = []
    late: list[float] = []
    opened = 0

    async def one(number: int) -> None:
        nonlocal opened
        while free and free[-1].closed:  # by the server, which keeps none open for ever
            free.pop()
            opened -= 1
        if free:
            connection = free.pop()
        elif opened < MOST_CONNECTIONS:
            opened += 1
            connection = await connect(server)
        else:
            answers.append(Answer(-1, b"", 0.0))  # the client's own limit: told, never hidden
            return
        answers.append(await connection.ask(asked[number % len(asked)]))
        if connection.closed:
            opened -= 1
        else:
            free.append(connection)

    began, sent = loop.time(), 0
    while (now := loop.time() - began) < seconds:
        if now >= len(memory):
            memory.append(server.rss_mib())
        while sent < now * rate:
            late.append(now - sent / rate)
            task = asyncio.create_task(one(sent))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    return answers, memory, late


async def overload(server: Server, asked: Sequence[bytes], seconds: int) -> dict[str, Any]:
    await closed_loop(server, asked, 2)  # warm
    began = time.perf_counter()
    closed = await closed_loop(server, asked, max(5, seconds / 6))
    peak = sum(each.status == 200 for each in closed) / (time.perf_counter() - began)
    before = await fetch(server, "/metrics")
    began, used = time.perf_counter(), time.process_time()
    answers, memory, late = await open_loop(server, asked, 2 * peak, seconds)
    taken, used = time.perf_counter() - began, time.process_time() - used
    after = await fetch(server, "/metrics")
    server_used = since(before, after, "process_cpu_seconds_total").get("", float("nan"))
    accepted = [each.seconds for each in answers if each.status == 200]
    refused = [each.seconds for each in answers if each.status == 503]
    quarter = max(1, len(memory) // 4)
    return {
        "peak_per_second": peak,
        "closed_median_ms": 1e3 * median(each.seconds for each in closed),
        "offered_per_second": len(answers) / taken,
        "goodput_of_peak": len(accepted) / taken / peak,
        "statuses": dict(Counter(each.status for each in answers)),
        "accepted_ms": quantiles(accepted),
        "refused_ms": quantiles(refused),
        "sent_late_ms": quantiles(late),
        "cores_used": {"server": server_used / taken, "client": used / taken},
        "rss_mib": [median(memory[:quarter]), median(memory[-quarter:]), max(memory)],
        "server_counted": since(before, after, "cifarlab_requests_total"),
        "batches": since(before, after, "cifarlab_batch_images_count"),
        "images": since(before, after, "cifarlab_images_total"),
    }


def since(before: Answer, after: Answer, name: str) -> dict[str, float]:
    old = counted(before.body.decode(), name)
    new = counted(after.body.decode(), name)
    return {labels: new[labels] - old.get(labels, 0) for labels in new}


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = np.quantile(seconds, [0.5, 0.99, 0.999, 1]) * 1e3
    return {"n": len(seconds), **dict(zip(("p50", "p99", "p999", "max"), values, strict=True))}


async def drain(server: Server, asked: Sequence[bytes]) -> dict[str, Any]:
    """SIGTERM with a request in flight on each connection: what became of them."""
    connections = [await connect(server) for _ in range(CONNECTIONS)]
    waiting = [
        asyncio.create_task(connection.ask(request))
        for connection, request in zip(connections, asked, strict=False)
    ]
    await asyncio.sleep(0.02)
    in_flight = sum(not each.done() for each in waiting)
    began = time.perf_counter()
    server.process.send_signal(signal.SIGTERM)
    answers = await asyncio.gather(*waiting)
    code = await asyncio.to_thread(server.process.wait, 60)
    seconds = time.perf_counter() - began
    statuses = dict(Counter(each.status for each in answers))
    return {"in_flight": in_flight, "statuses": statuses, "exit": code, "seconds": seconds}


async def every_answer(server: Server, asked: Sequence[bytes], at_once: int) -> list[Any]:
    """The prediction for each request, asked by so many connections at once; 503 asks again."""
    found: list[Any] = [None] * len(asked)
    turn = iter(range(len(asked)))

    async def one() -> None:
        connection = await connect(server)
        for number in turn:
            while (answer := await connection.ask(asked[number])).status == 503:
                await asyncio.sleep(0.05)
            found[number] = json.loads(answer.body)["predictions"][0]
        connection.close()

    await asyncio.gather(*(one() for _ in range(at_once)))
    return found


def agreement(alone: Sequence[Any], together: Sequence[Any]) -> dict[str, Any]:
    """Whether the answers under load are those of one image at a time."""
    gaps = [
        max(abs(a["probabilities"][name] - b["probabilities"][name]) for name in a["probabilities"])
        for a, b in zip(alone, together, strict=True)
    ]
    pairs = list(zip(alone, together, strict=True))
    return {
        "n": len(pairs),
        "same_label": sum(a["label"] == b["label"] for a, b in pairs),
        "largest_difference": max(gaps),
        "to_its_request": sum(b["file"] == str(i) for i, (_, b) in enumerate(pairs)),
    }


def main() -> None:
    arguments = parse()
    model = ["--model", arguments.model, *arguments.serve]
    asked = requests(arguments.images)
    result: dict[str, Any] = {}
    if "overload" in arguments.parts:
        with serving(model) as server:
            result["overload"] = asyncio.run(overload(server, asked, arguments.seconds))
        print(json.dumps(result["overload"], indent=2))
    if "drain" in arguments.parts:
        result["drain"] = []
        for _ in range(arguments.drains):
            with serving(model) as server:
                result["drain"].append(asyncio.run(drain(server, asked)))
            print(json.dumps(result["drain"][-1]))
    if "agreement" in arguments.parts:
        with serving([*model, "--batch", "1"]) as server:
            alone = asyncio.run(every_answer(server, asked, 1))
        with serving(model) as server:
            together = asyncio.run(every_answer(server, asked, CONNECTIONS))
            metrics = asyncio.run(fetch(server, "/metrics")).body.decode()
        result["agreement"] = agreement(alone, together)
        result["agreement"]["batches"] = sum(
            counted(metrics, "cifarlab_batch_images_count").values()
        )
        print(json.dumps(result["agreement"], indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
