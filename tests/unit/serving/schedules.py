"""Visitors of a batcher, played in an event loop whose time costs nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import looptime
import numpy as np

from heliograph.core import errors
from heliograph.serving.batcher import Batcher, BatchRules, Entry, Outcome, Reply

T = TypeVar("T")

TICK = 0.01
HALF = TICK / 2


def in_fake_time(play: Callable[[], Awaitable[T]]) -> T:
    """What ``play`` returns; nothing is left running and no error of the loop is kept quiet."""
    trouble: list[str] = []

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: trouble.append(str(context["message"])))
        result = await play()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        result = runner.run(watched())
    assert not trouble, trouble
    return result


@dataclass(frozen=True)
class Visitor:
    """Comes at a tick, waits ``patience`` ticks for an answer, perhaps leaves earlier; ``poison`` fails."""

    at: int
    patience: int
    leaves_after: int | None = None
    poison: bool = False


@dataclass
class Ending:
    """How a visit ended, and when."""

    at: float
    outcome: Reply | errors.HeliographError | None
    """None for one who left."""


class FakeEngine:
    """A `RunBatch` that doubles its input; ``delays`` are ticks a batch, taken in turn."""

    def __init__(self, streams: int, delays: Sequence[int], poison: frozenset[int] = frozenset()) -> None:
        self.formed: list[list[int]] = []
        self.formed_at: list[float] = []
        self.dead_when_formed: list[int] = []
        self.computed: list[int] = []
        self.running = 0
        self.most_running = 0
        self._streams = asyncio.Semaphore(streams)
        self._delays = delays
        self._poison = poison

    async def __call__(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        now = asyncio.get_running_loop().time()
        number = len(self.formed)
        self.formed.append([int(entry.tensor[0]) for entry in entries])
        self.formed_at.append(now)
        self.dead_when_formed += [int(e.tensor[0]) for e in entries if e.deadline < now - HALF]
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            async with self._streams:
                return await self._compute(entries, self._delays[number % len(self._delays)] * TICK)
        finally:
            self.running -= 1

    async def _compute(self, entries: Sequence[Entry], seconds: float) -> Sequence[Outcome]:
        started = asyncio.get_running_loop().time()
        alive = [not entry.future.done() and entry.deadline > started for entry in entries]
        self.computed += [int(e.tensor[0]) for e, lives in zip(entries, alive, strict=True) if lives]
        await asyncio.sleep(seconds)
        return [
            self._answer(entry, started, seconds) if lives else None
            for entry, lives in zip(entries, alive, strict=True)
        ]

    def _answer(self, entry: Entry, started: float, seconds: float) -> Outcome:
        if int(entry.tensor[0]) in self._poison:
            return errors.EngineFailed()
        return Reply(entry.tensor * 2, started - entry.enqueued_at, seconds)


@dataclass
class Play:
    """One schedule against one batcher, and what is seen of it."""

    visitors: Sequence[Visitor]
    rules: BatchRules
    delays: Sequence[int]
    stop_at: int
    grace: int = 0
    endings: dict[int, Ending] = field(default_factory=dict)
    drops: Counter[str] = field(default_factory=Counter)
    engine: FakeEngine = field(init=False)
    batcher: Batcher = field(init=False)

    async def run(self) -> Play:
        """Plays to the end: everybody has an ending, the batcher is stopped."""
        loop = asyncio.get_running_loop()
        poison = frozenset(number for number, visitor in enumerate(self.visitors) if visitor.poison)
        self.engine = FakeEngine(self.rules.streams, self.delays, poison)
        self.batcher = Batcher(self.engine, self.rules, clock=loop.time, on_drop=self._on_drop)
        visits = [asyncio.create_task(self._visit(*pair)) for pair in enumerate(self.visitors)]
        watch = asyncio.create_task(self._watch())
        await asyncio.sleep(self.stop_at * TICK + HALF)
        await self.batcher.stop(deadline=loop.time() + self.grace * TICK)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        if not watch.cancelled():
            watch.result()
        await asyncio.gather(*visits)
        return self

    def _on_drop(self, reason: str, count: int = 1, /) -> None:
        self.drops[reason] += count

    async def _visit(self, number: int, visitor: Visitor) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(visitor.at * TICK)
        deadline = loop.time() + visitor.patience * TICK
        tensor = np.array([number], dtype=np.float32)
        submission = asyncio.create_task(self.batcher.submit(tensor, deadline=deadline))
        if visitor.leaves_after is not None:
            loop.call_later(visitor.leaves_after * TICK, submission.cancel)
        outcome: Reply | errors.HeliographError | None
        try:
            outcome = await submission
        except errors.HeliographError as error:
            outcome = error
        except asyncio.CancelledError:
            outcome = None
        assert number not in self.endings
        self.endings[number] = Ending(loop.time(), outcome)

    async def _watch(self) -> None:
        """Between any two ticks: nothing waits that might run."""
        await asyncio.sleep(0.3 * TICK)
        while True:
            await asyncio.sleep(TICK)
            free = self.rules.streams - self.engine.running
            if free > 0:
                assert self.batcher.depth == 0, "an idle stream while something waits"
            elif free == 0:
                assert self.batcher.depth < self.rules.max_batch, "a full batch is withheld"
                self._check_ages()

    def _check_ages(self) -> None:
        now = asyncio.get_running_loop().time()
        seen = {number for batch in self.engine.formed for number in batch}
        for number, visitor in enumerate(self.visitors):
            waits = number not in seen and number not in self.endings
            if waits and visitor.at * TICK < now - self.rules.max_wait_seconds - TICK:
                raise AssertionError(f"{number} waited longer than max_wait beside a free place")
