"""A worker's consumer on a queue in memory, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import looptime

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.core import errors
from heliograph.core.jobs import (
    Assignment,
    Delivery,
    Job,
    JobResult,
    JobState,
    NewGroup,
    NewJob,
    Outcome,
    Priority,
    Verdict,
)
from heliograph.core.queue import JobSource, QueueRules
from heliograph.worker.consumer import Consumer, ConsumerRules, Perform

RULES = ConsumerRules(min_held=2, max_held=16, finish_seconds=5.0)
RESULT = JobResult(data=b"[]", media_type="application/json")


class Bench:
    """A queue in the event loop's time, and workers on it."""

    def __init__(self, **rules: Any) -> None:
        loop = asyncio.get_running_loop()
        self.queue = MemoryQueue(QueueRules(**rules), loop.time)
        self.desk = MemoryDesk(self.queue)
        self.source: JobSource = MemorySource(self.queue)
        self.clock = loop.time
        self._jobs = 0

    async def add(self, *names: str, priority: Priority = Priority.BULK) -> Sequence[str]:
        """The ids of jobs with these names."""
        ids: list[str] = []
        for name in names:
            self._jobs += 1
            job = NewJob(id=f"{name}-{self._jobs}", name=name, model="m", payload=name.encode())
            group = NewGroup(id=f"group-{self._jobs}", owner="", jobs=(job,), priority=priority)
            ids += (await self.desk.enqueue(group)).job_ids
        return ids

    def consumer(
        self,
        perform: Perform,
        name: str = "w1",
        rules: ConsumerRules = RULES,
        source: JobSource | None = None,
        models: Collection[str] = (),
    ) -> Consumer:
        return Consumer(
            name, source or self.source, perform, rules=rules, clock=self.clock, models=lambda: models
        )

    async def job(self, job_id: str) -> Job:
        found = await self.desk.job(job_id)
        assert found is not None
        return found

    async def until(
        self, what: str, condition: Callable[[], Awaitable[bool]], seconds: float = 100.0
    ) -> None:
        """Returns once the condition holds; fails with ``what`` if it does not within so many seconds."""
        end = self.clock() + seconds
        while not await condition():
            assert self.clock() < end, f"waited in vain for: {what}"
            await asyncio.sleep(0.05)

    async def until_final(self, ids: Sequence[str], seconds: float = 100.0) -> Sequence[JobState]:
        """The states of jobs once all are final."""

        async def are_final() -> bool:
            return all([(await self.job(job_id)).state.is_final for job_id in ids])

        await self.until("jobs to be final", are_final, seconds)
        return [(await self.job(job_id)).state for job_id in ids]


class Running:
    """A consumer that runs; at the end it is stopped, or was killed."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer
        self._stop = asyncio.Event()
        self._task = asyncio.ensure_future(consumer.run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        await self._task
        await self.consumer.leave()

    async def kill(self) -> None:
        """Ends it without a word, as SIGKILL would."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for _, task, _ in self.consumer._holding._begun.values():
            task.cancel()


class Engine:
    """Takes ``seconds`` a job, and keeps what it was at together with what."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.done: list[str] = []
        self.begun = 0
        self.together: dict[str, set[str]] = {}
        self._now: list[str] = []

    async def __call__(self, assignment: Assignment) -> JobResult:
        name = assignment.name
        self.begun += 1
        self._now.append(name)
        for other in self._now:
            self.together.setdefault(other, set()).update(set(self._now) - {other})
            self.together.setdefault(name, set())
        try:
            if name.startswith("broken"):
                raise errors.PictureBroken("It is broken.")
            if name.startswith("busy"):
                raise errors.Overloaded
            if name.startswith("unknown"):
                raise errors.ModelUnavailable("Its weights are not here.")
            if name.startswith("engine"):
                raise errors.EngineFailed("It failed.")
            if name.startswith("bug"):
                raise ZeroDivisionError
            await asyncio.sleep(self.seconds)
        finally:
            self._now.remove(name)
        self.done.append(name)
        return RESULT


class Away(MemorySource):
    """A queue whose server can go away, and that never takes the outcome of one job."""

    is_away = False
    refuses = ""

    async def read(
        self, worker: str, *, count: int, prefer: Priority = Priority.INTERACTIVE, wait_seconds: float = 0.0
    ) -> Sequence[Delivery]:
        self._check()
        return await super().read(worker, count=count, prefer=prefer, wait_seconds=min(wait_seconds, 0.2))

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        self._check()
        return await super().start(worker, deliveries)

    async def renew(self, worker: str, held: Sequence[Delivery | Assignment]) -> Sequence[Verdict]:
        self._check()
        return await super().renew(worker, held)

    async def reclaim(self, worker: str, *, count: int, models: Collection[str] = ()) -> Sequence[Delivery]:
        self._check()
        return await super().reclaim(worker, count=count, models=models)

    async def finish(self, worker: str, outcomes: Sequence[Outcome]) -> Sequence[bool]:
        self._check()
        if any(outcome.assignment.name == self.refuses for outcome in outcomes):
            raise errors.BlobStoreUnavailable("It is too large.")
        return await super().finish(worker, outcomes)

    def _check(self) -> None:
        if self.is_away:
            raise errors.QueueUnavailable("It is away.")


def in_fake_time(main: Callable[[], Awaitable[None]]) -> None:
    """Runs ``main`` in an event loop whose time jumps from one event to the next."""

    async def whole() -> None:
        await main()

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(whole())
