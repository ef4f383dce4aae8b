"""A queue of one test, in memory or on a real server, whose time the test can move."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from heliograph.adapters.queue import keys as queue_keys
from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.adapters.queue.redis_source import RedisSource
from heliograph.core.jobs import (
    Assignment,
    Delivery,
    JobProblem,
    JobResult,
    NewGroup,
    NewJob,
    Outcome,
    Priority,
)
from heliograph.core.queue import JobDesk, JobSource, QueueRules
from queue_servers import QueueServer

PAYLOAD = b"picture of ten bytes"[:10]
RESULT = JobResult(data=b"label", media_type="application/json", facts='{"decode_ms": 1}')
FAILED = JobProblem(code="engine-failed", message="The engine failed.")
NUMBERS = itertools.count(1)


class Trial(Protocol):
    """A queue and its time."""

    desk: JobDesk
    source: JobSource

    async def later(self, seconds: float) -> None:
        """Lets time pass for leases, results and memories, though not for those who wait."""

    async def undelivered(self) -> Mapping[Priority, int]:
        """How many entries no worker has read; what an autoscaler goes by."""

    async def left(self) -> Sequence[str]:
        """What the queue still stores, beside its counters."""

    async def close(self) -> None:
        """Lets go of connections."""


MakeTrial: TypeAlias = Callable[..., Trial]
"""Makes a queue, given its rules."""


class MemoryTrial:
    """A queue in memory, with a clock of its own."""

    def __init__(self, rules: QueueRules) -> None:
        self.now = time.time()
        self.queue = MemoryQueue(rules, lambda: self.now)
        self.desk: JobDesk = MemoryDesk(self.queue)
        self.source: JobSource = MemorySource(self.queue)

    async def later(self, seconds: float) -> None:
        self.now += seconds

    async def undelivered(self) -> Mapping[Priority, int]:
        return {priority: len(line) for priority, line in self.queue.waiting.items()}

    async def left(self) -> Sequence[str]:
        queue = self.queue
        entries = (entry for leases in queue.leases.values() for entry in leases)
        workers = [worker.name for worker in queue.workers.listed()]
        return [*queue.jobs, *queue.groups, *entries, *queue.timetable, *queue.memories, *workers]

    async def close(self) -> None:
        await self.desk.close()


class RedisTrial:
    """A queue on a server. Time passes by making what is stored older."""

    def __init__(self, rules: QueueRules, server: QueueServer) -> None:
        self.url = server.url
        self.server = RedisServer(server.url, "tried")
        self.keys = self.server.keys
        self.client: Any = server.client()  # its methods are typed for its asynchronous twin as well
        self.desk: JobDesk = RedisDesk(self.server, rules)
        self.source: JobSource = RedisSource(self.server, rules)

    async def later(self, seconds: float) -> None:
        for priority in Priority:
            self._age_leases(self.keys.stream(priority), int(1000 * seconds))
        for kind in ("timetable", "memories", "beats", "lost"):
            table = self.keys.single(kind)
            with self.client.pipeline(transaction=False) as pipe:
                for member in self.client.zrange(table, 0, -1):
                    pipe.zincrby(table, -1000 * seconds, member)
                pipe.execute()
        for pattern in ("idempotency:*", "replies:*", "durations:*"):
            for key in self.client.scan_iter(f"{self.keys.prefix.replace('{', '[{]')}{pattern}"):
                self.client.pexpire(key, max(0, self.client.pttl(key) - int(1000 * seconds)))

    def _age_leases(self, stream: str, milliseconds: int) -> None:
        group = queue_keys.CONSUMER_GROUP
        if not self.client.exists(stream):
            return
        with self.client.pipeline(transaction=False) as pipe:
            for held in self.client.xpending_range(stream, group, "-", "+", 10_000):
                idle = held["time_since_delivered"] + milliseconds
                pipe.xclaim(stream, group, held["consumer"], 0, [held["message_id"]], idle=idle, justid=True)
            pipe.execute()

    def groups(self) -> Mapping[Priority, Mapping[str, Any]]:
        """What autoscalers read of each stream's consumer group."""
        found = {}
        for priority in Priority:
            stream = self.keys.stream(priority)
            if self.client.exists(stream):
                (found[priority],) = self.client.xinfo_groups(stream)
        return found

    async def undelivered(self) -> Mapping[Priority, int]:
        return dict.fromkeys(Priority, 0) | {p: g["lag"] for p, g in self.groups().items()}

    async def left(self) -> Sequence[str]:
        expected = {self.keys.single(kind) for kind in ("counters", "events", "roll_call")}
        expected |= {self.keys.stream(priority) for priority in Priority}
        names = {key.decode() for key in self.client.keys("*")}
        entries = [
            entry for priority in Priority for entry, _ in self.client.xrange(self.keys.stream(priority))
        ]
        return [*sorted(names - expected), *map(str, entries)]

    async def close(self) -> None:
        self.client.close()
        await self.desk.close()


def new_group(count: int = 1, *, payload: bytes = PAYLOAD, **changes: Any) -> NewGroup:
    """A request of so many jobs, unlike any other."""
    number = next(NUMBERS)
    jobs = tuple(
        NewJob(id=f"job-{number}-{place}", name=f"{place}.png", model="tried", payload=payload)
        for place in range(count)
    )
    return NewGroup(**({"id": f"group-{number}", "owner": "me", "jobs": jobs} | changes))


async def enqueued(trial: Trial, count: int = 1, **changes: Any) -> Sequence[str]:
    """The ids of so many jobs that wait."""
    return (await trial.desk.enqueue(new_group(count, **changes))).job_ids


async def begun(trial: Trial, worker: str = "worker", count: int = 100) -> Sequence[Assignment]:
    """What a worker reads and begins."""
    return await trial.source.start(worker, await trial.source.read(worker, count=count))


async def one_begun(trial: Trial, worker: str = "worker", **changes: Any) -> Assignment:
    """A job that a worker has begun; nothing else may wait."""
    await enqueued(trial, **changes)
    (assignment,) = await begun(trial, worker)
    return assignment


async def dead_job(trial: Trial, **changes: Any) -> str:
    """The id of a job whose attempts are used up."""
    assignment = await one_begun(trial, "a", **changes)
    while await trial.source.retry("a", assignment, FAILED):
        taken = await trial.source.reclaim("a", count=1)
        if not taken:
            break
        (assignment,) = await trial.source.start("a", taken)
    return assignment.delivery.job_id


async def finish(trial: Trial, assignment: Assignment, worker: str = "worker") -> bool:
    """Whether the queue took the result."""
    (stored,) = await trial.source.finish(worker, [Outcome(assignment=assignment, answer=RESULT)])
    return stored


def ids_of(held: Sequence[Delivery | Assignment]) -> list[str]:
    """Ids of jobs that a worker holds, in their order."""
    return [one.delivery.job_id if isinstance(one, Assignment) else one.job_id for one in held]


async def end(trial: Trial) -> None:
    """Ends all jobs and lets their time pass; fails if anything stays behind, or the numbers do not add up."""
    cursor = ""
    while True:
        page = await trial.desk.jobs(None, cursor=cursor, limit=500)
        await asyncio.gather(*(trial.desk.cancel(job.id) for job in page.jobs if not job.state.is_final))
        cursor = page.next_cursor
        if not cursor:
            break
    while deliveries := await trial.source.read("last", count=1000):
        assert not await trial.source.start("last", deliveries)
    await trial.later(100_000)
    while deliveries := await trial.source.reclaim("last", count=1000):
        assert not await trial.source.start("last", deliveries)
    while await trial.desk.expire(limit=1000):
        pass
    counts = await trial.desk.counts()
    assert counts.stored_bytes == 0
    assert all(one.waiting == one.running == 0 for one in counts.backlog.values())
    assert counts.accepted == sum(counts.finished.values())
    assert min(counts.finished.values()) >= 0
    assert set((await trial.undelivered()).values()) == {0}
    await trial.later(10.0**9)
    while await trial.desk.expire(limit=1000):
        pass
    assert await trial.left() == []
