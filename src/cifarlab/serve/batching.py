"""Pictures of many requests through the model together, one batch at a time.

The model is never idle while something waits and nothing waits for company: a free model takes at
once what is there, and what arrives while it computes is its next batch. So a lone request is not
delayed, and batches grow by themselves as the load does. The model's thread takes its next batch
itself: the event loop has its turn only after all that it has read, and under load that is a while.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from cifarlab.serve.places import Overloaded

# Rows handed out in one turn of the event loop. Fewer cost throughput: a turn has a price, and
# answers that leave together let their clients' next requests arrive together.
ROWS_A_TURN = 8

Compute = Callable[[NDArray[np.uint8]], NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class _Waiting:
    view: NDArray[np.uint8]
    deadline: float
    row: asyncio.Future[NDArray[np.floating]]


class MicroBatcher:
    """Rows of logits for single views, computed in batches by one thread.

    Args:
        compute: uint8 (N, S, S, 3) -> (N, C); called in a thread of its own, never twice at a time.
        batch_images: the largest N.
        observe: is told each batch's N, after it.

    Example:
        >>> async def two():
        ...     batcher = MicroBatcher(lambda views: views.mean(axis=(1, 2)), 8)
        ...     worker = asyncio.create_task(batcher.run())
        ...     soon = asyncio.get_running_loop().time() + 5
        ...     try:
        ...         return await batcher.rows([np.zeros((2, 2, 3)), np.ones((2, 2, 3))], soon)
        ...     finally:
        ...         worker.cancel()
        >>> [row.tolist() for row in asyncio.run(two())]
        [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self, compute: Compute, batch_images: int, observe: Callable[[int], object] = lambda _: None
    ):
        self._compute, self._size, self._observe = compute, batch_images, observe
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Views that no batch has taken yet, those given up included."""
        return len(self._waiting)

    async def rows(
        self, views: Sequence[NDArray[np.uint8]], deadline: float
    ) -> list[NDArray[np.floating]]:
        """(C,) for each of `views`, uint8 (S, S, 3), in their order.

        When the caller is cancelled, what no batch has taken yet is dropped.

        Args:
            views: any number.
            deadline: the loop's time after which they are not computed any more.

        Raises:
            Overloaded: the deadline passed first.
        """
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(view, deadline, loop.create_future()) for view in views]
        self._waiting.extend(waiting)
        self._arrived.set()
        try:
            return await asyncio.gather(*(one.row for one in waiting))
        finally:
            for one in waiting:
                one.row.cancel()  # of a row that is there already, this changes nothing

    async def run(self) -> None:
        """Compute what arrives, until cancelled."""
        loop, ended = asyncio.get_running_loop(), threading.Event()
        with ThreadPoolExecutor(1, thread_name_prefix="model") as thread:
            try:
                while True:
                    await self._arrived.wait()
                    self._arrived.clear()  # before the work: what arrives meanwhile sets it again
                    await loop.run_in_executor(thread, self._work, loop, ended)
            finally:
                ended.set()  # else the thread would first compute all that waits

    def _work(self, loop: asyncio.AbstractEventLoop, ended: threading.Event) -> None:
        """In the model's thread: batch after batch, until nothing waits."""
        while not ended.is_set() and (batch := self._take(loop)):
            try:
                rows = self._compute(np.stack([one.view for one in batch]))
                done = partial(_answer, iter(list(zip(batch, rows, strict=True))))
            except Exception as error:  # whatever a runtime raises is its callers' answer
                done = partial(_fail, batch, error)
            loop.call_soon_threadsafe(self._observe, len(batch))
            loop.call_soon_threadsafe(done)

    def _take(self, loop: asyncio.AbstractEventLoop) -> list[_Waiting]:
        """The next batch: the longest waiting that still have somebody who waits for them.

        In the model's thread, which alone takes from the queue; futures are the event loop's to
        settle, and here are only looked at.
        """
        batch: list[_Waiting] = []
        late: list[_Waiting] = []
        while self._waiting and len(batch) < self._size:
            one = self._waiting.popleft()
            if not one.row.done():
                (late if one.deadline < loop.time() else batch).append(one)
        if late:
            loop.call_soon_threadsafe(_fail, late, Overloaded("deadline"))
        return batch


def _answer(pairs: Iterator[tuple[_Waiting, NDArray[np.floating]]]) -> None:
    """Give some their row now, and the others theirs in the loop's next turns: making all the
    answers of a batch in one turn would keep waiting who knocks meanwhile."""
    some = list(islice(pairs, ROWS_A_TURN))
    for one, row in some:
        if not one.row.done():  # its caller may have left meanwhile
            one.row.set_result(row)
    if some:
        asyncio.get_running_loop().call_soon(_answer, pairs)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.row.done():
            one.row.set_exception(error)
