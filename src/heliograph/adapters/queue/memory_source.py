"""A worker's end of a queue in memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Sequence

from heliograph.adapters.queue.memory import NOBODY, JobRecord, Lease, MemoryQueue
from heliograph.core.events import EventKind
from heliograph.core.jobs import (
    Assignment,
    Delivery,
    JobEvent,
    JobProblem,
    JobResult,
    JobState,
    Outcome,
    Priority,
    Verdict,
)
from heliograph.core.workers import WorkerInfo

RUNNING = (JobState.RUNNING,)
ANSWERED = (JobState.DONE, JobState.FAILED)
GIVEN_UP = (JobState.QUEUED, JobState.DEAD)


class MemorySource:
    """Implements `heliograph.core.queue.JobSource`."""

    def __init__(self, queue: MemoryQueue) -> None:
        self._queue = queue

    async def read(
        self, worker: str, *, count: int, prefer: Priority = Priority.INTERACTIVE, wait_seconds: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to ``count`` new jobs, of the preferred priority first."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while not (found := self._new(worker, count, prefer)):
            if not await self._queue.news(deadline):
                break
        return found

    def _new(self, worker: str, count: int, prefer: Priority) -> Sequence[Delivery]:
        found: list[Delivery] = []
        for priority in sorted(Priority, key=lambda priority: priority is not prefer):
            line, leases = self._queue.waiting[priority], self._queue.leases[priority]
            while line and len(found) < count and not self._queue.has_to_wait(priority):
                job = line.popleft()
                if job.state is JobState.QUEUED:  # else it was cancelled while it waited
                    leases[job.entry] = Lease(job=job, worker=worker, since=self._queue.clock())
                    found.append(_delivery(job))
        return found

    async def reclaim(self, worker: str, *, count: int, models: Collection[str] = ()) -> Sequence[Delivery]:
        """Up to ``count`` jobs that were given back or whose lease is over."""
        over = self._queue.clock() - self._queue.rules.lease_seconds
        loose: list[Lease] = []
        waiting: list[Lease] = []
        for priority, leases in self._queue.leases.items():
            if not self._queue.has_to_wait(priority):
                given = [lease for lease in leases.values() if lease.worker == NOBODY]
                loose += [lease for lease in given if not lease.lacks_model]
                loose += [each for each in leases.values() if each.worker != NOBODY and each.since <= over]
                waiting += [lease for lease in given if lease.lacks_model and lease.job.model in models]
        found = [*loose, *waiting][:count]
        for lease in found:
            self._claim(lease, worker)
        return [_delivery(lease.job) for lease in found]

    def _claim(self, lease: Lease, worker: str, *, lacks_model: bool = False) -> None:
        lease.worker, lease.since, lease.lacks_model = worker, self._queue.clock(), lacks_model

    def _lease(self, delivery: Delivery) -> Lease | None:
        return self._queue.leases[delivery.priority].get(delivery.entry)

    def _delivered(self, worker: str, delivery: Delivery) -> Lease | None:
        """The lease of a job that was handed to this worker and is still its own to begin."""
        lease = self._lease(delivery)
        return lease if lease is not None and lease.worker == worker else None

    def _begun(self, assignment: Assignment, states: Collection[JobState] = RUNNING) -> JobRecord | None:
        """The job of an assignment that holds, in one of these states."""
        job = self._queue.jobs.get(assignment.delivery.job_id)
        if job is None or job.token != assignment.token or job.state not in states:
            return None
        return job

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        """Begins with jobs, as far as they are this worker's to begin."""
        begun = [self._start(worker, delivery) for delivery in deliveries]
        self._queue.tell_notes()
        return [assignment for assignment in begun if assignment is not None]

    def _start(self, worker: str, delivery: Delivery) -> Assignment | None:
        lease = self._delivered(worker, delivery)
        if lease is None:
            return None
        job = lease.job
        if job.attempts >= self._queue.rules.max_attempts:
            message = f"Its worker was lost in each of {job.attempts} attempts."
            job.problem = job.problem or JobProblem(code="attempts-exhausted", message=message)
            self._queue.settle(job, JobEvent.EXHAUST, worker=worker)
            return None
        self._queue.redelivered += job.state is JobState.RUNNING
        self._queue.move(job, JobEvent.START)
        job.token, job.worker = secrets.token_hex(8), worker
        job.attempts += 1
        job.started_at = self._queue.clock()
        self._queue.note(EventKind.STARTED, job, worker)
        return Assignment(
            delivery=delivery,
            token=job.token,
            attempt=job.attempts,
            name=job.name,
            model=job.model,
            parameters=job.parameters,
            payload=job.payload,
        )

    async def renew(self, worker: str, held: Sequence[Delivery | Assignment]) -> Sequence[Verdict]:
        """Renews the lease of each; what the queue says to each."""
        leases = [self._held(worker, one) for one in held]
        for lease in leases:
            if lease is not None:
                self._claim(lease, worker)
        return [
            self._lost(one) if lease is None else Verdict.MINE
            for one, lease in zip(held, leases, strict=True)
        ]

    def _held(self, worker: str, one: Delivery | Assignment) -> Lease | None:
        if isinstance(one, Delivery):
            return self._delivered(worker, one)
        return self._lease(one.delivery) if self._begun(one) else None

    def _lost(self, one: Delivery | Assignment) -> Verdict:
        job = self._queue.jobs.get(one.job_id if isinstance(one, Delivery) else one.delivery.job_id)
        is_cancelled = job is not None and job.state is JobState.CANCELLED
        return Verdict.CANCELLED if is_cancelled else Verdict.LOST

    async def finish(self, worker: str, outcomes: Sequence[Outcome]) -> Sequence[bool]:
        """Stores results and reasons; False where the assignment was lost."""
        stored = [self._finish(worker, outcome) for outcome in outcomes]
        self._queue.tell_notes()
        return stored

    def _finish(self, worker: str, outcome: Outcome) -> bool:
        job = self._begun(outcome.assignment)
        if job is None:
            return self._begun(outcome.assignment, ANSWERED) is not None
        if isinstance(outcome.answer, JobResult):
            self._queue.settle(job, JobEvent.FINISH, worker=worker)
            job.result = outcome.answer
            self._queue.stored_bytes += job.result_bytes
            self._queue.result_bytes += job.result_bytes
        else:
            self._queue.settle(job, JobEvent.FAIL, worker=worker)
            job.problem = outcome.answer
        return True

    async def retry(self, worker: str, assignment: Assignment, problem: JobProblem) -> bool:
        """Lets another attempt follow, if one is left; False if the assignment was lost."""
        job = self._begun(assignment)
        if job is None:
            return self._begun(assignment, GIVEN_UP) is not None
        job.problem = problem
        if job.attempts >= self._queue.rules.max_attempts:
            self._queue.settle(job, JobEvent.EXHAUST, worker=worker)
        else:
            self._queue.move(job, JobEvent.RETRY)
            self._queue.note(EventKind.RETURNED, job, worker)
            self._give(assignment.delivery)
        self._queue.tell_notes()
        return True

    async def hand_back(
        self, worker: str, held: Sequence[Delivery | Assignment], *, lacks_model: bool = False
    ) -> None:
        """Gives up what this worker holds; the attempts do not count."""
        for one in held:
            if isinstance(one, Delivery):
                if self._delivered(worker, one):
                    self._give(one, lacks_model=lacks_model)
            elif job := self._begun(one):
                self._queue.move(job, JobEvent.HAND_BACK)
                job.attempts -= 1
                self._queue.note(EventKind.RETURNED, job, worker)
                self._give(one.delivery, lacks_model=lacks_model)
        self._queue.tell_notes()

    def _give(self, delivery: Delivery, *, lacks_model: bool = False) -> None:
        if lease := self._lease(delivery):
            self._claim(lease, NOBODY, lacks_model=lacks_model)

    async def beat(self, info: WorkerInfo) -> None:
        """Says that a worker is there, and how it is."""
        self._queue.workers.beat(info)
        self._queue.announce()

    async def release(self, worker: str) -> int:
        """Gives up what a worker held that is gone, and its heartbeat."""
        held = [
            lease
            for leases in self._queue.leases.values()
            for lease in leases.values()
            if lease.worker == worker
        ]
        for lease in held:
            self._claim(lease, NOBODY)
        self._queue.workers.forget(worker)
        self._queue.announce()
        return len(held)

    async def close(self) -> None:
        """Does nothing."""


def _delivery(job: JobRecord) -> Delivery:
    return Delivery(job_id=job.id, entry=job.entry, priority=job.group.priority, attempts=job.attempts)
