"""The engine's threads: failures stay with their picture, the dead cost nothing, a stop waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from heliograph.adapters.engines.stub import StubEngine
from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.serving.batcher import Batcher, BatchRules, Entry, Reply
from heliograph.serving.streams import EngineStreams
from unit.serving.parts import Tally, model_spec

POISON = 13.0


class Gate(StubEngine):
    """A stub engine that waits at a gate before each batch."""

    def __init__(self) -> None:
        super().__init__(model_spec(), fails_on=frozenset({POISON}))
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def run(self, batch: Float32Array) -> Float32Array:
        self.arrived.release()
        assert self.open.wait(10)
        return super().run(batch)


def tensor(number: float) -> Float32Array:
    return np.full((3, 2, 2), number, dtype=np.float32)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    engine = Gate()
    yield engine
    engine.open.set()


def put_together(engine: Gate, tally: Tally, *, streams: int = 1, max_batch: int = 8) -> Batcher:
    runner = EngineStreams(
        engine,
        streams=streams,
        clock=time.monotonic,
        on_batch=lambda size, seconds: tally.batch_ran("", size, 0),
    )
    rules = BatchRules(max_batch=max_batch, max_wait_seconds=10, streams=streams)
    return Batcher(
        runner, rules, clock=time.monotonic, on_drop=lambda reason, count=1: tally.entries_dropped("", reason)
    )


async def submit_behind_one(
    batcher: Batcher, engine: Gate, numbers: list[float]
) -> list[asyncio.Task[Reply]]:
    """The first number alone is with the engine; the others become one batch behind it."""
    deadline = time.monotonic() + 60
    tasks = [asyncio.create_task(batcher.submit(tensor(numbers[0]), deadline=deadline))]
    assert await asyncio.to_thread(engine.arrived.acquire, timeout=10)
    tasks += [asyncio.create_task(batcher.submit(tensor(n), deadline=deadline)) for n in numbers[1:]]
    await asyncio.sleep(0)
    return tasks


async def test_a_picture_that_breaks_the_engine_fails_alone(gate: Gate) -> None:
    tally = Tally()
    batcher = put_together(gate, tally)
    tasks = await submit_behind_one(batcher, gate, [1, 2, POISON, 3])
    gate.open.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[2], errors.EngineFailed)
    answers = [outcome.row[0] for outcome in outcomes if isinstance(outcome, Reply)]
    assert answers == [12.0, 24.0, 36.0]
    assert gate.batches == [1, 3, 1, 1, 1]
    await batcher.stop(deadline=time.monotonic() + 5)


async def test_who_leaves_a_formed_batch_costs_no_engine_time(gate: Gate) -> None:
    tally = Tally()
    batcher = put_together(gate, tally, max_batch=1)
    tasks = await submit_behind_one(batcher, gate, [1, 2, 3])
    assert batcher.depth == 1  # the second is in the batch that was formed ahead
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    gate.open.set()
    assert (await tasks[0]).row[0] == 12.0
    await batcher.stop(deadline=time.monotonic() + 5)
    assert gate.batches == [1]
    assert tally.dropped == {"cancelled": 2}


async def test_as_many_batches_run_at_once_as_there_are_streams(gate: Gate) -> None:
    batcher = put_together(gate, Tally(), streams=2, max_batch=1)
    deadline = time.monotonic() + 60
    tasks = [asyncio.create_task(batcher.submit(tensor(n), deadline=deadline)) for n in (1, 2, 3, 4)]
    for _ in range(2):
        assert await asyncio.to_thread(gate.arrived.acquire, timeout=10)
    assert not gate.arrived.acquire(blocking=False)
    gate.open.set()
    assert [reply.row[0] for reply in await asyncio.gather(*tasks)] == [12.0, 24.0, 36.0, 48.0]
    await batcher.stop(deadline=time.monotonic() + 5)


async def test_closing_waits_for_the_batch_that_runs(gate: Gate) -> None:
    streams = EngineStreams(gate, streams=1, clock=time.monotonic, on_batch=lambda size, seconds: None)
    entry = Entry(
        tensor(1), time.monotonic() + 60, time.monotonic(), asyncio.get_running_loop().create_future()
    )
    running = asyncio.ensure_future(streams([entry]))
    assert await asyncio.to_thread(gate.arrived.acquire, timeout=10)
    closing = asyncio.create_task(asyncio.to_thread(streams.close))
    await asyncio.sleep(0)
    assert not gate.closed
    gate.open.set()
    assert isinstance((await running)[0], Reply)
    await closing
    assert gate.closed
