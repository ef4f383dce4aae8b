"""A feed of events over a queue in memory, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import looptime

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.core import errors
from heliograph.core.events import Event, EventPage
from heliograph.core.jobs import QueueCounts
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo
from heliograph.serving.access import Caller
from heliograph.serving.events import EventFeed
from heliograph.serving.subscriptions import Numbers, Snapshot, Subscription, Told
from queue_trials import new_group

EVERYBODY, ME = Caller(), Caller("me", sees_all=False)


class Desk(MemoryDesk):
    """A queue in memory that can be away, and counts how often it is asked."""

    def __init__(self) -> None:
        self.queue = MemoryQueue(
            QueueRules(max_jobs=100_000), lambda: asyncio.get_running_loop().time() + 1e9
        )
        super().__init__(self.queue)
        self.is_away = False
        self.looks = self.reads = 0

    async def counts(self) -> QueueCounts:
        self.looks += 1
        await asyncio.sleep(0.1)
        self._check()
        return await super().counts()

    async def workers(self) -> Sequence[WorkerInfo]:
        self._check()
        return await super().workers()

    async def events(self, after: str, *, limit: int = 1000, wait_seconds: float = 0.0) -> EventPage:
        self.reads += 1
        self._check()
        page = await super().events(after, limit=limit, wait_seconds=wait_seconds)
        self._check()
        return page

    def _check(self) -> None:
        if self.is_away:
            raise errors.QueueUnavailable

    async def accept(self, count: int = 1, owner: str = "me") -> tuple[str, ...]:
        """The ids of so many new jobs, each of a request of its own."""
        groups = [await self.enqueue(new_group(owner=owner)) for _ in range(count)]
        return tuple(job_id for group in groups for job_id in group.job_ids)


Scenario = Callable[[Desk, EventFeed], Coroutine[Any, Any, None]]


def play(scenario: Scenario, **limits: Any) -> None:
    async def run() -> None:
        desk = Desk()
        feed = EventFeed(desk, **limits)
        try:
            await scenario(desk, feed)
        finally:
            await feed.close()
        assert not feed.is_reading

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(asyncio.wait_for(run(), 1000))


async def first(subscription: Subscription) -> Snapshot:
    """The snapshot with which a subscription begins."""
    told = await subscription.next(5)
    assert told is not None
    (snapshot,) = told
    assert isinstance(snapshot, Snapshot)
    return snapshot


async def heard(subscription: Subscription, count: int) -> list[Told]:
    """At least so many things that a subscription tells, beside the numbers."""
    found: list[Told] = []
    while len(found) < count:
        told = await subscription.next(60)
        assert told, f"only {found}"
        found += [one for one in told if not isinstance(one, Numbers)]
    return found


async def is_quiet(subscription: Subscription, seconds: float) -> bool:
    """Whether it tells nothing for so long, beside the numbers."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        told = await subscription.next(left)
        if not all(isinstance(one, Numbers) for one in told or ()):
            return False
    return True


def job_ids(told: Sequence[Told]) -> list[str]:
    return [job_id for one in told if isinstance(one, Event) for job_id in one.job_ids]
