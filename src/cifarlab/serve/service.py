"""From the bytes of pictures to answers: threads, the batches, places and deadlines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from cifarlab.predict import Prediction
from cifarlab.serve.batching import MicroBatcher
from cifarlab.serve.limits import Limits
from cifarlab.serve.model import Logits, Seen, ServedModel, Views
from cifarlab.serve.pictures import heat_overlay, png_data_url
from cifarlab.serve.places import Overloaded, Places
from cifarlab.serve.telemetry import Telemetry

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """A picture as it came: its name, None where it has none, and its bytes."""

    file: str | None
    content: bytes


class Service:
    """All that a request needs beside the request itself.

    Args:
        model: answers for views.
        limits: the bounds it keeps.

    Attributes:
        queue: places for pictures that are taken in and not answered yet.
        uploads: places for requests whose bodies are being read.
        memory: places for their bytes.
        ready: whether new work is taken; false until started and from SIGTERM on.
    """

    def __init__(self, model: ServedModel, limits: Limits):
        self.model, self.limits = model, limits
        self.queue = Places(limits.queue_images, "queue")
        self.uploads = Places(limits.uploads, "uploads")
        self.memory = Places(limits.memory_bytes, "memory")
        self.telemetry = Telemetry(lambda: self.queue.taken)
        self.batcher = MicroBatcher(model.logits, limits.batch_images, self.telemetry.batch)
        self.ready = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Threads and the batcher, for as long as the block lasts."""
        with (
            ThreadPoolExecutor(self.limits.decoders, thread_name_prefix="decode") as decoders,
            ThreadPoolExecutor(1, thread_name_prefix="explain") as explainer,
        ):
            self._decoders, self._explainer = decoders, explainer
            self.model.warm_up(self.limits.batch_images)
            worker = asyncio.create_task(self.batcher.run())
            self.ready = True
            try:
                yield
            finally:
                self.ready = False
                worker.cancel()
                for pool in (explainer, decoders):
                    # Not on the loop: it has yet to tell these threads which requests are given up.
                    await asyncio.to_thread(pool.shutdown)

    def check(self) -> None:
        """Raise `Overloaded` when it is clear, before a body is read, that there is no room."""
        self.queue.check()
        self.memory.check()

    async def decoding(self, work: Callable[[], T], deadline: float) -> T:
        """`work` in a decoding thread.

        Raises:
            Overloaded: the deadline, of the loop's clock, passed before a thread was free.
        """

        def in_time() -> T:
            if time.monotonic() > deadline:
                raise Overloaded("deadline")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._decoders, in_time)

    async def predict(
        self, uploads: Sequence[Upload], *, view: bool = False, explain: bool = False
    ) -> list[dict[str, Any]]:
        """An answer for each picture, in order, as `Prediction.to_json` has it.

        Args:
            uploads: the pictures.
            view: add what the model saw.
            explain: add where in it the evidence for its first class is.

        Raises:
            Overloaded: they cannot be answered in time.
        """
        limits = self.limits
        seconds = limits.explain_seconds if explain else limits.deadline_seconds
        deadline = time.monotonic() + seconds
        seen = await asyncio.gather(
            *(self._seen(upload, number, deadline) for number, upload in enumerate(uploads, 1))
        )
        readable = [each for each in seen if isinstance(each, Seen)]
        every = [view for each in readable for view in each.views]
        rows = iter(await self.batcher.rows(every, deadline))
        answers = []
        for upload, each in zip(uploads, seen, strict=True):
            if isinstance(each, str):
                answers.append(Prediction(upload.file, error=each).to_json())
                continue
            logits = np.stack([next(rows) for _ in each.views])
            answer = self.model.prediction(upload.file, logits).to_json()
            if view:
                answer["view"] = await self.decoding(partial(_drawn, each.views), deadline)
                answer["scaling"] = each.scaling
            if explain:
                heat = await self._explanation(each.views[0], answer["label"], deadline)
                answer["explanation"] = heat
            answers.append(answer)
        self.telemetry.images(len(readable), len(seen) - len(readable))
        return answers

    async def _seen(self, upload: Upload, number: int, deadline: float) -> Seen | str:
        name = upload.file or f"image {number}"
        return await self.decoding(partial(self.model.see, upload.content, name), deadline)

    async def _explanation(self, view: Views, label: str, deadline: float) -> str:
        """A heat map over the view as a data URL; its many answers come from the shared batches."""
        loop = asyncio.get_running_loop()
        left = threading.Event()
        asked: Future[list[Logits]] | None = None

        def rows(views: Views) -> Logits:
            nonlocal asked
            asked = asyncio.run_coroutine_threadsafe(batched(views), loop)
            if left.is_set():  # asked only now, so that one of the two sides always sees the other
                asked.cancel()
            return np.stack(asked.result(self.limits.explain_seconds))

        async def batched(views: Views) -> list[Logits]:
            return await self.batcher.rows(list(views), deadline)

        def draw() -> str:
            return png_data_url(heat_overlay(view, self.model.heat(view, label, rows)))

        try:
            return await loop.run_in_executor(self._explainer, draw)
        finally:  # when the client left, the thread must not wait for what nobody computes
            left.set()
            if asked is not None:
                asked.cancel()


def _drawn(views: Views) -> list[str]:
    return [png_data_url(view) for view in views]


async def unless_gone(receive: Callable[[], Awaitable[Any]], work: Awaitable[T]) -> T | None:
    """What `work` gives, or None when the client left first: then the work is given up.

    Args:
        receive: ASGI's, after the whole body: the next message is that the client left.
        work: is cancelled then.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
