"""The gateway's end of a queue in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from heliograph.adapters.queue import places
from heliograph.adapters.queue.memory import GroupRecord, JobRecord, MemoryQueue
from heliograph.adapters.queue.places import sequence_of
from heliograph.core import errors
from heliograph.core.drain import DrainRate
from heliograph.core.events import Event, EventKind, EventPage
from heliograph.core.jobs import (
    TRANSITIONS,
    FinishedJob,
    Group,
    Job,
    JobEvent,
    JobPage,
    JobResult,
    JobState,
    NewGroup,
    Priority,
    QueueCounts,
)
from heliograph.core.workers import WorkerInfo

Name = TypeVar("Name")

REPLIES_AT_ONCE = 100


class MemoryDesk:
    """Implements `heliograph.core.queue.JobDesk`."""

    def __init__(self, queue: MemoryQueue) -> None:
        self._queue = queue
        self._drain = DrainRate(queue.clock)
        self._keys: dict[tuple[str, str], tuple[str, str, float]] = {}
        """By owner and idempotency key: the group that it stands for, the fingerprint, and until when."""

    async def enqueue(self, group: NewGroup) -> Group:
        """The group, or that of the same idempotency key."""
        queue = self._queue
        self._drain.observe(queue.settled)
        if group.id in queue.groups:
            return queue.groups[group.id].as_group()
        if (known := self._known(group)) is not None:
            return known
        new_bytes = sum(len(job.payload) + job.kept_elsewhere for job in group.jobs)
        self._refuse_if_full(group.priority, len(group.jobs), new_bytes)
        record = GroupRecord(
            id=group.id,
            owner=group.owner,
            priority=group.priority,
            reply_to=group.reply_to,
            job_ids=tuple(job.id for job in group.jobs),
            known=len(group.jobs),
        )
        queue.groups[group.id] = record
        now = queue.clock()
        for job in group.jobs:
            queue.add(
                JobRecord(
                    id=job.id,
                    name=job.name,
                    model=job.model,
                    parameters=job.parameters,
                    payload=job.payload,
                    size=len(job.payload) + job.kept_elsewhere,
                    group=record,
                    sequence=queue.accepted + 1,
                    accepted_at=now,
                )
            )
        if group.idempotency_key:
            until = now + queue.rules.memory_seconds
            self._keys.pop((group.owner, group.idempotency_key), None)  # over, and no longer first in line
            self._keys[group.owner, group.idempotency_key] = (group.id, group.fingerprint, until)
        queue.tell_notes()
        return record.as_group()

    def _known(self, group: NewGroup) -> Group | None:
        group_id, fingerprint, until = self._keys.get((group.owner, group.idempotency_key), ("", "", 0.0))
        if not group.idempotency_key or until <= self._queue.clock():
            return None
        if fingerprint != group.fingerprint:
            raise errors.IdempotencyConflict
        record = self._queue.groups.get(group_id)
        if record is None:
            raise errors.IdempotencyConflict("The jobs of this idempotency key are over.")
        return record.as_group(is_new=False)

    def _refuse_if_full(self, priority: Priority, new_jobs: int, new_bytes: int | None = None) -> None:
        queue, rules = self._queue, self._queue.rules
        share = 1.0 if priority is Priority.INTERACTIVE else rules.bulk_share
        open_jobs = queue.accepted - queue.settled
        bounds = [("jobs", open_jobs + new_jobs, rules.max_jobs * share)]
        if new_bytes is not None:
            kept = queue.accepted - queue.expired + new_jobs
            used_bytes = queue.stored_bytes + new_bytes + kept * rules.job_bytes
            bounds.append(("bytes", used_bytes, rules.max_bytes * share))
        for what, used, bound in bounds:
            if used > bound:
                jobs_over = used - bound if what == "jobs" else open_jobs * (used - bound) / bound
                raise errors.QueueFull(
                    f"The queue has no room for more {what}.",
                    retry_after_seconds=self._drain.seconds_until(jobs_over),
                )

    async def job(self, job_id: str) -> Job | None:
        """The job as it stands."""
        record = self._queue.jobs.get(job_id)
        return None if record is None else record.as_job()

    async def result(self, job_id: str) -> JobResult | None:
        """What a job that is done answered."""
        record = self._queue.jobs.get(job_id)
        return None if record is None else record.result

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels a job that is not final."""
        record = self._queue.jobs.get(job_id)
        if record is not None and (record.state, JobEvent.CANCEL) in TRANSITIONS:
            self._queue.settle(record, JobEvent.CANCEL)
            self._queue.tell_notes()
        return await self.job(job_id)

    async def requeue(self, job_id: str) -> Job | None:
        """Gives a dead job new attempts."""
        record = self._queue.jobs.get(job_id)
        if record is not None and (record.state, JobEvent.REQUEUE) in TRANSITIONS and not record.is_expired:
            self._refuse_if_full(record.group.priority, 1)
            self._queue.move(record, JobEvent.REQUEUE)
            self._queue.note(EventKind.REQUEUED, record)
            self._queue.timetable.pop(job_id, None)
            record.attempts, record.worker, record.token, record.problem = 0, "", "", None
            record.started_at = record.finished_at = None
            self._queue.line_up(record)
            self._queue.tell_notes()
        return await self.job(job_id)

    async def acknowledge(self, job_id: str) -> Job | None:
        """Removes the result of a final job."""
        record = self._queue.jobs.get(job_id)
        if record is not None and record.state.is_final and not record.is_expired:
            self._queue.forget_result(record)
        return await self.job(job_id)

    async def group(self, group_id: str) -> Group | None:
        """A request's jobs, counted by state."""
        record = self._queue.groups.get(group_id)
        return None if record is None else record.as_group()

    async def group_jobs(self, group_id: str, *, offset: int = 0, limit: int = 100) -> Sequence[Job]:
        """Jobs of a group in the order of its request."""
        group = self._queue.groups.get(group_id)
        if group is None or offset < 0 or limit <= 0:
            return ()
        records = map(self._queue.jobs.get, group.job_ids[offset : offset + limit])
        return [record.as_job() for record in records if record is not None]

    async def jobs(
        self, owner: str | None, *, state: JobState | None = None, cursor: str = "", limit: int = 100
    ) -> JobPage:
        """The jobs of one owner, or of everybody, newest first. A cursor is the sequence number of a page's last."""
        before = sequence_of(cursor)
        if state is not None:
            return self._in_state(state, owner, before, limit)
        found = (
            record
            for record in reversed(self._queue.jobs.values())
            if not record.is_expired
            and (owner is None or record.group.owner == owner)
            and (before is None or record.sequence < before)
        )
        page = list(islice(found, limit))
        more = str(page[-1].sequence) if len(page) == limit else ""
        return JobPage(jobs=tuple(record.as_job() for record in page), next_cursor=more)

    def _in_state(self, state: JobState, owner: str | None, before: int | None, limit: int) -> JobPage:
        """Looks at so many jobs, and says where to go on."""
        sequences, newest = self._queue.sequences, self._queue.accepted
        if before is not None:
            newest = min(newest, before - 1)
        oldest, last = next(iter(sequences), newest + 1), newest + 1
        found: list[JobRecord] = []
        for last in range(newest, max(oldest, newest + 1 - max(limit, places.LOOKED_AT)) - 1, -1):
            record = sequences.get(last)
            if record is not None and record.state is state and not record.is_expired:
                found += [record] if owner in (None, record.group.owner) else []
            if len(found) == limit:
                break
        more = str(last) if last > oldest else ""
        return JobPage(jobs=tuple(record.as_job() for record in found), next_cursor=more)

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Removes the results of many final jobs."""
        for job_id in job_ids:
            await self.acknowledge(job_id)

    async def finished(self, gateway: str, *, wait_seconds: float) -> Sequence[FinishedJob]:
        """Jobs that this gateway waits for and that became final, the first first."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while not (replies := self._queue.replies.get(gateway)):
            if not await self._queue.news(deadline):
                return ()
        ids = [replies.popleft() for _ in range(min(REPLIES_AT_ONCE, len(replies)))]
        return [FinishedJob(job_id=job_id, result=await self.result(job_id)) for job_id in ids]

    async def workers(self) -> Sequence[WorkerInfo]:
        """The workers that were heard of."""
        return self._queue.workers.listed()

    async def events(self, after: str, *, limit: int = 1000, wait_seconds: float = 0.0) -> EventPage:
        """Up to ``limit`` events after one, or from now on."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        page = self._queue.events.page(after, limit)
        while after and page.is_complete and not page.events and await self._queue.news(deadline):
            page = self._queue.events.page(after, limit)
        return page

    async def tell(self, kind: EventKind, *, worker: str = "", detail: str = "") -> None:
        """Adds an event that is not of jobs."""
        self._queue.events.add(Event(id="", at=0.0, kind=kind, worker=worker, detail=detail))
        self._queue.announce()

    async def counts(self) -> QueueCounts:
        """The queue in numbers."""
        return self._queue.counts()

    async def expire(self, *, limit: int = 100) -> int:
        """Removes results and memories whose time is over. Tables are in the order of their times."""
        queue, now = self._queue, self._queue.clock()
        queue.workers.expire()
        queue.announce()
        results = _over(queue.timetable.items(), limit, now)
        for job_id in results:
            queue.forget_result(queue.jobs[job_id])
        too_many = len(queue.memories) - queue.rules.max_memories
        memories = _over(queue.memories.items(), limit, now, too_many=too_many)
        for job_id in memories:
            queue.forget(job_id)
        ends = ((key, until) for key, (*_, until) in self._keys.items())
        keys = _over(ends, limit, now, too_many=len(self._keys) - queue.rules.max_keys)
        for key in keys:
            del self._keys[key]
        return len(results) + len(memories) + len(keys)

    async def close(self) -> None:
        """Does nothing."""


def _over(
    table: Iterable[tuple[Name, float]], limit: int, now: float, *, too_many: int = 0
) -> Sequence[Name]:
    """Of the first rows of a table in the order of their times: those whose time is over, and those too many."""
    rows = enumerate(islice(table, limit))
    return [name for place, (name, until) in rows if until <= now or place < too_many]
