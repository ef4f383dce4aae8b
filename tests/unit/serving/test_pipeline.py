"""The way of one picture; above all, that its pixels are given back wherever it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from heliograph.adapters.engines.stub import StubEngine
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.predictions import CutoutOptions
from heliograph.serving.admission import PixelBudget
from heliograph.serving.batcher import Batcher, BatchRules, Entry, Outcome
from heliograph.serving.pipeline import Pipeline, Workshop
from heliograph.serving.streams import EngineStreams
from heliograph.serving.threads import WorkerThreads
from unit.serving.parts import NumberImaging, Tally, model_spec

BUDGET = 100
PICTURE = b"7 60"
STEPS = ("inspect", "decode", "prepare", "batch", "cut_out")


class Brakes:
    """Holds the picture at one step until `release`; other pictures pass when it is open."""

    def __init__(self, step: str | None = None) -> None:
        self._step = step
        self.reached = threading.Event()
        self.open = threading.Event()

    def pass_by(self, step: str) -> None:
        if step == self._step:
            self.reached.set()
            assert self.open.wait(10)


@dataclass
class Bench:
    """A pipeline and all that it touches."""

    pipeline: Pipeline
    pixels: PixelBudget
    tally: Tally
    batcher: Batcher
    threads: WorkerThreads


@contextmanager
def bench(task: Task, brakes: Brakes | None = None, *, threads: int = 2) -> Iterator[Bench]:
    spec, tally, pixels = model_spec(task=task), Tally(), PixelBudget(BUDGET)
    hold = (brakes or Brakes()).pass_by
    with WorkerThreads(threads, name="decode") as pool:
        streams = EngineStreams(
            StubEngine(spec), streams=1, clock=time.monotonic, on_batch=lambda size, seconds: None
        )

        async def run(entries: Sequence[Entry]) -> Sequence[Outcome]:
            await asyncio.to_thread(hold, "batch")
            return await streams(entries)

        batcher = Batcher(
            run,
            BatchRules(),
            clock=time.monotonic,
            on_drop=lambda why, count=1: tally.entries_dropped("", why),
        )
        shop = Workshop(
            imaging=NumberImaging(hold), threads=pool, pixels=pixels, clock=time.monotonic, metrics=tally
        )
        try:
            yield Bench(Pipeline(spec, batcher, shop), pixels, tally, batcher, pool)
        finally:
            streams.close()


async def ask(bench: Bench, data: bytes = PICTURE, *, seconds: float = 60) -> object:
    deadline = time.monotonic() + seconds
    if bench.pipeline.spec.task is Task.CLASSIFICATION:
        return await bench.pipeline.classify(data, top=1, deadline=deadline)
    return await bench.pipeline.cut_out(data, CutoutOptions(), deadline=deadline)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        for _ in iter(condition, True):
            await asyncio.sleep(0)


async def settle(bench: Bench) -> None:
    """Returns once nothing runs any more; the budget must be whole then."""
    await bench.batcher.stop(deadline=time.monotonic() + 5)
    await asyncio.to_thread(bench.threads.close)
    assert bench.pixels.try_take(BUDGET), "pixels were not given back"
    assert not bench.pixels.try_take(1), "pixels were given back twice"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("task", list(Task))
async def test_cancelled_at_any_step_it_gives_its_pixels_back(task: Task, step: str) -> None:
    brakes = Brakes(step if task is Task.BACKGROUND_REMOVAL or step != "cut_out" else "prepare")
    with bench(task, brakes) as made:
        asking = asyncio.create_task(ask(made))
        assert await asyncio.to_thread(brakes.reached.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        if step in ("decode", "prepare", "cut_out"):
            assert not made.pixels.try_take(BUDGET), "its thread still holds the picture"
        brakes.open.set()
        await settle(made)
        assert made.tally.outcomes == {"cancelled": 1}


@pytest.mark.parametrize("step", STEPS[:4])
@pytest.mark.parametrize("task", list(Task))
async def test_its_deadline_ends_it_at_any_step(task: Task, step: str) -> None:
    brakes = Brakes(step)
    with bench(task, brakes) as made:
        asking = asyncio.create_task(ask(made, seconds=0.05))
        late = errors.DeadlineExceeded if step == "cut_out" else errors.Overloaded
        with pytest.raises(late):
            await asking
        brakes.open.set()
        await settle(made)
        assert made.tally.outcomes == {late.code: 1}


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_after_any_turn_of_the_event_loop(task: Task, turns: int) -> None:
    """Two pictures of which only one fits; the second waits, decodes again, and is cut off somewhere."""
    with bench(task) as made:
        first = asyncio.create_task(ask(made))
        second = asyncio.create_task(ask(made))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await first
        await settle(made)


@pytest.mark.parametrize("task", list(Task))
async def test_who_waits_for_pixels_is_served_in_turn_or_leaves(task: Task) -> None:
    brakes = Brakes()
    with bench(task, brakes) as made:
        assert made.pixels.try_take(BUDGET)
        waiting = [asyncio.create_task(ask(made)) for _ in range(3)]
        await until(lambda: len(made.pixels._waiting) == 3)
        waiting[1].cancel()
        await asyncio.gather(waiting[1], return_exceptions=True)
        made.pixels.give_back(BUDGET)
        await asyncio.gather(waiting[0], waiting[2])
        await settle(made)
        assert made.tally.outcomes == {"ok": 2, "cancelled": 1}


@pytest.mark.parametrize(
    ("data", "code"), [(b"junk", "picture-format-unknown"), (b"13 60", "picture-broken")]
)
@pytest.mark.parametrize("task", list(Task))
async def test_a_picture_that_cannot_be_read(task: Task, data: bytes, code: str) -> None:
    with bench(task) as made:
        with pytest.raises(errors.PictureError):
            await ask(made, data)
        await settle(made)
        assert made.tally.outcomes == {code: 1}


async def test_what_expires_in_the_queue_counts_as_expired() -> None:
    """Not as cancelled: nobody left."""
    brakes = Brakes("batch")
    with bench(Task.CLASSIFICATION, brakes) as made:
        asking = [asyncio.create_task(ask(made, seconds=0.2)) for _ in range(9)]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {errors.Overloaded}
        brakes.open.set()
        await settle(made)
        assert set(made.tally.dropped) == {"expired"}


async def test_the_phases_are_timed() -> None:
    with bench(Task.CLASSIFICATION) as made:
        answer = await made.pipeline.classify(PICTURE, top=2, deadline=time.monotonic() + 60)
        assert [label.label for label in answer.labels] == ["three", "two"]
        assert min(answer.timings.milliseconds().values()) >= 0
        assert answer.timings.infer > 0
        await settle(made)
