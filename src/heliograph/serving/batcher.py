"""Pictures that wait for one engine, formed into batches.

Rules:

1. An entry owns its reply (a future); there is no table of ids that could leak.
2. A cancelled or expired entry leaves the queue at once, and is counted: it costs neither
   memory nor a place nor engine time.
3. A batch closes when it is full, when its oldest entry waited ``max_wait_seconds``, or when
   a stream of the engine is idle.
4. At most one batch is formed ahead of the streams, so that a stream that gets idle starts
   the next one without a turn of the event loop.
5. Every entry resolves exactly once: an answer, its own error, its deadline, or the stop.

There is no polling: something happens on `submit`, on the end of a batch, and on one timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import Clock

PREFETCHED_BATCHES = 1
CAUTION = 2.0
"""A new entry is taken if it could wait so many times as long as expected: expectations are of the past."""
OVERTAKEN = "The picture's turn did not come in time."
TIMER_SECONDS = 0.001
"""How early an event loop's timer may fire; a batch that is due in less is due, else it would spin on the timer."""
SMOOTHING = 0.2
"""Weight of the newest batch in the average seconds a picture."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One row of the engine's output, and the seconds that it waited and computed."""

    row: Float32Array
    queue_seconds: float
    infer_seconds: float


@dataclass(slots=True, eq=False)
class Entry:
    """One tensor that waits, with its deadline (in the clock's seconds) and its reply."""

    tensor: Float32Array
    deadline: float
    enqueued_at: float
    future: asyncio.Future[Reply] = field(repr=False)
    queued: bool = True
    started: bool = False
    """Whether an engine began with it; set in the engine's thread."""

    def expire(self) -> None:
        """Its deadline is there: too slow if an engine is at it, else there was too much before it."""
        self.resolve(errors.DeadlineExceeded() if self.started else errors.Overloaded(OVERTAKEN))

    def resolve(self, outcome: Reply | errors.HeliographError) -> None:
        """Gives the reply, unless nobody waits any more."""
        if self.future.done():
            return
        if isinstance(outcome, Reply):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)


Outcome: TypeAlias = "Reply | errors.HeliographError | None"
"""What became of an entry in a batch; None for one that was dropped at the last moment."""

RunBatch: TypeAlias = Callable[[Sequence[Entry]], Awaitable[Sequence[Outcome]]]
"""Runs a batch and answers with one outcome an entry. It raises only if it is broken itself."""


class OnDrop(Protocol):
    """Hears of entries that left without engine time."""

    def __call__(self, reason: str, count: int = 1, /) -> None:
        """``reason`` is ``cancelled`` or ``expired``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """How batches are formed. ``streams`` batches run at once; ``max_waiting`` bounds the queue.

    ``seconds_per_picture`` is what to expect until batches have been timed.
    """

    max_batch: int = 4
    max_wait_seconds: float = 0.005
    streams: int = 1
    max_waiting: int = 1024
    seconds_per_picture: float = 0.0


class Batcher:
    """Forms batches for one engine. Lives in one event loop."""

    def __init__(self, run: RunBatch, rules: BatchRules, *, clock: Clock, on_drop: OnDrop) -> None:
        self._run = run
        self._rules = rules
        self._clock = clock
        self._on_drop = on_drop
        self._waiting: deque[Entry] = deque()
        self._running: dict[asyncio.Task[None], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._seconds_per_picture = rules.seconds_per_picture
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many entries wait, not counting those in formed batches."""
        return len(self._waiting)

    def expected_wait_seconds(self) -> float:
        """How long a new entry would wait, going by the latest batches."""
        ahead = len(self._waiting) + sum(self._running.values())
        return ahead * self._seconds_per_picture / self._rules.streams

    def check_capacity(self, deadline: float) -> None:
        """Refuses what could not be answered in time, before anything is spent on it.

        Raises:
            ShuttingDown: after `stop`.
            Overloaded: the queue is full, or its wait may end after ``deadline``.
        """
        if self._stopping:
            raise errors.ShuttingDown
        wait = self.expected_wait_seconds()
        if len(self._waiting) >= self._rules.max_waiting or self._clock() + CAUTION * wait > deadline:
            raise errors.Overloaded(
                f"{len(self._waiting)} pictures wait for this model; a new one would wait {wait:.1f} s.",
                retry_after_seconds=max(1.0, wait / 2),
            )

    async def submit(self, tensor: Float32Array, *, deadline: float) -> Reply:
        """The engine's output for one tensor. Cancelling it drops the entry.

        Raises:
            Overloaded, ShuttingDown: see `check_capacity`; its turn may also not come in time.
            DeadlineExceeded: an engine was at it at ``deadline``.
            EngineFailed: the engine failed on this tensor alone.
        """
        self.check_capacity(deadline)
        loop = asyncio.get_running_loop()
        now = self._clock()
        entry = Entry(tensor, deadline, now, loop.create_future())
        expiry = loop.call_later(max(0.0, deadline - now), entry.expire)
        self._waiting.append(entry)
        self._pump()
        try:
            return await entry.future
        finally:
            expiry.cancel()
            if entry.queued:
                self._waiting.remove(entry)
                self._drop(entry)

    async def stop(self, *, deadline: float) -> None:
        """Refuses new entries, lets those in the queue finish, fails what is left at ``deadline``."""
        self._stopping = True
        self._pump()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                while self._running:
                    await asyncio.wait(set(self._running), return_when=asyncio.FIRST_COMPLETED)
        while self._waiting:
            entry = self._waiting.popleft()
            entry.queued = False
            entry.resolve(errors.ShuttingDown())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in tuple(self._running):
            task.cancel()
        if self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def _pump(self) -> None:
        """Starts every batch that may start now; arms the timer for the next that may start later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and len(self._running) < self._rules.streams + PREFETCHED_BATCHES:
            if not self._may_close():
                oldest = self._waiting[0].enqueued_at + self._rules.max_wait_seconds
                delay = max(0.0, oldest - self._clock())
                self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
                return
            batch = self._form()
            if batch:
                task = asyncio.get_running_loop().create_task(self._finish(batch))
                self._running[task] = len(batch)
                task.add_done_callback(self._forget)

    def _may_close(self) -> bool:
        if self._stopping or len(self._running) < self._rules.streams:
            return True
        if len(self._waiting) >= self._rules.max_batch:
            return True
        left = self._waiting[0].enqueued_at + self._rules.max_wait_seconds - self._clock()
        return left <= TIMER_SECONDS

    def _form(self) -> list[Entry]:
        batch: list[Entry] = []
        now = self._clock()
        while self._waiting and len(batch) < self._rules.max_batch:
            entry = self._waiting.popleft()
            entry.queued = False
            if entry.future.done() or entry.deadline <= now:
                self._drop(entry)
            else:
                batch.append(entry)
        return batch

    def _drop(self, entry: Entry) -> None:
        """Counts an entry that costs no engine time; one that nobody gave up is told of its deadline."""
        self._on_drop("cancelled" if entry.future.cancelled() else "expired")
        entry.expire()

    async def _finish(self, batch: list[Entry]) -> None:
        """Runs one batch and hands out its replies, whatever happens."""
        started = self._clock()
        try:
            outcomes = await self._run(batch)
        except asyncio.CancelledError:
            for entry in batch:
                entry.resolve(errors.ShuttingDown())
            raise
        except Exception as error:  # the runner itself is broken: nobody may be left waiting
            for entry in batch:
                entry.resolve(errors.EngineFailed(errors.excerpt(error)))
            raise
        computed = 0
        for entry, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                self._drop(entry)
            else:
                computed += 1
                entry.resolve(outcome)
        self._note_speed(computed, self._clock() - started, outcomes)

    def _note_speed(self, computed: int, elapsed: float, outcomes: Sequence[Outcome]) -> None:
        if not computed:
            return
        infer = next((o.infer_seconds for o in outcomes if isinstance(o, Reply)), elapsed)
        newest = infer / computed
        if self._seconds_per_picture == 0.0:
            self._seconds_per_picture = newest
        else:
            self._seconds_per_picture += SMOOTHING * (newest - self._seconds_per_picture)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "This is a bug: a batch runner raised.", "exception": error, "task": task}
            )
        self._pump()
