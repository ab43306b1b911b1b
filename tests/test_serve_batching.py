"""Admission and batches: who is computed when, with whom, and who is not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from cifarlab.errors import UsageError
from cifarlab.serve.batching import ROWS_A_TURN, MicroBatcher
from cifarlab.serve.limits import Limits
from cifarlab.serve.places import Overloaded, Places

LATER = float("inf")


class Gate:
    """A model that computes each batch only when it is let; it doubles its views."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = threading.Semaphore(0)

    def __call__(self, views: np.ndarray) -> np.ndarray:
        self.batches.append([int(view) for view in views])
        assert self.let.acquire(timeout=10)
        if 13 in views:
            raise ArithmeticError("thirteen")
        return 2.0 * views[views != 14, None]  # of 14 it forgets the answer


def run(scene: Callable, batch_images: int = 4) -> tuple[object, list[list[int]]]:
    """What `scene(batcher, gate)` gives, and the batches that were computed."""

    async def play() -> object:
        gate = Gate()
        batcher = MicroBatcher(gate, batch_images)
        worker = asyncio.create_task(batcher.run())
        try:
            return await asyncio.wait_for(scene(batcher, gate), 10), gate.batches
        finally:
            gate.let.release(100)
            worker.cancel()

    return asyncio.run(play())


def views(*numbers: int) -> list[np.ndarray]:
    return [np.array(number) for number in numbers]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_free_model_waits_for_nobody_and_a_busy_one_gathers() -> None:
    async def scene(batcher: MicroBatcher, gate: Gate) -> list:
        asked = [asyncio.create_task(batcher.rows(views(0), LATER))]
        await until(lambda: gate.batches == [[0]])
        asked += [asyncio.create_task(batcher.rows(views(n), LATER)) for n in range(1, 7)]
        await until(lambda: batcher.waiting == 6)
        gate.let.release(3)
        return [float(row[0]) for rows in await asyncio.gather(*asked) for row in rows]

    rows, batches = run(scene)
    assert batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert rows == [0, 2, 4, 6, 8, 10, 12]  # each row to who asked for it


def test_the_model_goes_on_while_the_loop_is_busy() -> None:
    async def scene(batcher: MicroBatcher, gate: Gate) -> int:
        asked = [asyncio.create_task(batcher.rows(views(0), LATER))]
        await until(lambda: gate.batches == [[0]])
        asked += [asyncio.create_task(batcher.rows(views(n), LATER)) for n in range(1, 9)]
        await until(lambda: batcher.waiting == 8)
        gate.let.release(3)
        end = time.monotonic() + 5
        while len(gate.batches) < 3 and time.monotonic() < end:
            time.sleep(0.001)  # as if the loop had much to read and to refuse
        computed = len(gate.batches)
        await asyncio.gather(*asked)
        return computed

    assert run(scene) == (3, [[0], [1, 2, 3, 4], [5, 6, 7, 8]])


def test_the_end_does_not_wait_for_what_waits() -> None:
    gate = Gate()

    async def scene() -> None:
        batcher = MicroBatcher(gate, 1)
        worker = asyncio.create_task(batcher.run())
        asked = asyncio.create_task(batcher.rows(views(0, 1), LATER))
        await until(lambda: gate.batches == [[0]])
        worker.cancel()
        threading.Timer(0.2, gate.let.release, [2]).start()  # the loop waits for the batch
        await asyncio.gather(worker, return_exceptions=True)
        asked.cancel()

    asyncio.run(scene())
    assert gate.batches == [[0]]


def test_what_waited_past_its_deadline_is_not_computed() -> None:
    async def scene(batcher: MicroBatcher, gate: Gate) -> str:
        first = asyncio.create_task(batcher.rows(views(0), LATER))
        await until(lambda: gate.batches == [[0]])
        soon = asyncio.get_running_loop().time() + 0.01
        late = asyncio.create_task(batcher.rows(views(1), soon))
        other = asyncio.create_task(batcher.rows(views(2), LATER))
        await asyncio.sleep(0.03)
        gate.let.release(2)
        await asyncio.gather(first, other)
        with pytest.raises(Overloaded) as refusal:
            await late
        return refusal.value.reason

    assert run(scene) == ("deadline", [[0], [2]])


def test_whose_caller_left_is_not_computed() -> None:
    async def scene(batcher: MicroBatcher, gate: Gate) -> None:
        first = asyncio.create_task(batcher.rows(views(0), LATER))
        await until(lambda: gate.batches == [[0]])
        left = asyncio.create_task(batcher.rows(views(1, 2), LATER))
        last = asyncio.create_task(batcher.rows(views(3), LATER))
        await until(lambda: batcher.waiting == 3)
        left.cancel()
        gate.let.release(2)
        await asyncio.gather(first, last)

    assert run(scene)[1] == [[0], [3]]


@pytest.mark.parametrize(("number", "failure"), [(13, ArithmeticError), (14, ValueError)])
def test_a_batch_that_fails_fails_alone(number: int, failure: type[Exception]) -> None:
    async def scene(batcher: MicroBatcher, gate: Gate) -> float:
        gate.let.release(2)
        with pytest.raises(failure):
            await batcher.rows(views(number), LATER)
        [row] = await batcher.rows(views(4), LATER)
        return float(row[0])

    assert run(scene)[0] == 8


def test_a_batch_is_answered_some_at_a_turn_of_the_loop() -> None:
    turns: list[int] = []
    numbers = [number for number in range(3 * ROWS_A_TURN) if number not in (13, 14)]

    async def scene(batcher: MicroBatcher, gate: Gate) -> None:
        loop, turn = asyncio.get_running_loop(), 0

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(next_turn)

        async def one(number: int) -> None:
            await batcher.rows(views(number), LATER)
            turns.append(turn)

        asked = [asyncio.create_task(one(number)) for number in numbers]
        await until(lambda: gate.batches == [numbers])
        next_turn()
        gate.let.release()
        await asyncio.gather(*asked)

    run(scene, batch_images=len(numbers))
    assert turns == [turns[0] + place // ROWS_A_TURN for place in range(len(numbers))]


def test_places_are_given_back_whatever_happens() -> None:
    places = Places(3, "queue")
    with pytest.raises(Overloaded, match="try again"), places.hold(2) as more:
        more(2)
    assert places.taken == 0
    with places.hold(3), pytest.raises(Overloaded):
        places.check()
    places.check()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("deadline_seconds", 0, "deadline_seconds must be positive"),
        ("queue_images", 16, "request_images .32. may not exceed queue_images .16."),
        ("body_bytes", 2**30, "may not exceed memory_bytes"),
    ],
)
def test_limits_that_cannot_be_are_refused(field: str, value: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Limits(**{field: value})
