"""Both ends of a queue whose large payloads and results lie in a blob store.

::

    payload   put ──▶ enqueue ──▶ start, get ──────────▶ finish, cancel ──▶ remove
    result                              put ──▶ finish ──▶ get ──▶ acknowledge ──▶ remove

A process may die at any arrow. Bytes are in the store before the queue tells of them, and leave it after nobody needs
them; so what may be left over is a blob, never a job without one. `BlobSweep` removes it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName
from heliograph.core.events import EventKind, EventPage
from heliograph.core.jobs import (
    Assignment,
    Delivery,
    FinishedJob,
    Group,
    Job,
    JobPage,
    JobProblem,
    JobResult,
    JobState,
    NewGroup,
    Outcome,
    Priority,
    QueueCounts,
    Verdict,
)
from heliograph.core.queue import JobDesk, JobSource
from heliograph.core.workers import WorkerInfo
from heliograph.serving.blobs import Shelf, data_here, version_of

MOST_SEEN = 10_000
PAYLOAD_LOST = JobProblem(
    code=errors.PayloadLost.code, message="The store of large payloads has lost the picture of this job."
)


def payload_of(job_id: str) -> BlobName:
    """The name of a job's payload."""
    return BlobName(job_id=job_id, kind=BlobKind.PAYLOAD)


def result_of(job_id: str, version: str = "") -> BlobName:
    """The name of what one attempt at a job answered."""
    return BlobName(job_id=job_id, kind=BlobKind.RESULT, version=version)


class OffloadingDesk:
    """Implements `heliograph.core.queue.JobDesk` over another one."""

    def __init__(self, desk: JobDesk, shelf: Shelf) -> None:
        self._desk = desk
        self._shelf = shelf
        self._seen: OrderedDict[str, BlobName] = OrderedDict()
        """Where the results lie that were asked for last, to be removed without another look."""

    async def enqueue(self, group: NewGroup) -> Group:
        """The group, whose payloads are in the store before the queue hears of it.

        Raises:
            BlobStoreUnavailable: the store does not take them; nothing was stored.
        """
        names = [payload_of(job.id) for job in group.jobs if self._shelf.keeps(job.payload)]
        if (
            names
        ):  # while the queue is away nothing is put beside it: clients repeat, and it would fill the store
            await self._desk.group(group.id)
        framed = await self._framed(group, names)
        try:
            stored = await self._desk.enqueue(framed)
        except (errors.QueueFull, errors.IdempotencyConflict):
            await self._drop_refused(group, names)
            raise
        if not stored.is_new:
            await self._shelf.drop(names)
        return stored

    async def _framed(self, group: NewGroup, names: Sequence[BlobName]) -> NewGroup:
        kept = [(payload_of(job.id), job.payload) for job in group.jobs if self._shelf.keeps(job.payload)]
        try:
            for failure in await self._shelf.keep(kept):
                if failure is not None:
                    raise failure
        except BaseException:
            await self._shelf.drop(names)
            raise
        frames = [self._shelf.frame(payload_of(job.id), job.payload) for job in group.jobs]
        jobs = (
            replace(job, payload=frame.data, kept_elsewhere=job.kept_elsewhere + frame.kept_elsewhere)
            for job, frame in zip(group.jobs, frames, strict=True)
        )
        return replace(group, jobs=tuple(jobs))

    async def _drop_refused(self, group: NewGroup, names: Sequence[BlobName]) -> None:
        """Removes payloads of a group that was refused, unless the queue knows it.

        A call is sent again when its answer is lost; of one that was heard the first time only, it may be told that
        the server was full the second time.
        """
        with suppress(errors.CapacityError):
            if names and await self._desk.group(group.id) is None:
                await self._shelf.drop(names)

    async def result(self, job_id: str) -> JobResult | None:
        """What a job that is done answered; None before that, and after it expired.

        Raises:
            BlobStoreUnavailable: the store cannot be read.
        """
        framed = await self._desk.result(job_id)
        if framed is None:
            return None
        self._note(job_id, framed)
        (data,) = await self._shelf.fetch([(result_of(job_id), framed.data)])
        if isinstance(data, errors.HeliographError):
            raise data
        return None if data is None else replace(framed, data=data, kept_elsewhere=0)

    def _note(self, job_id: str, framed: JobResult) -> None:
        if version := version_of(framed.data):
            self._seen[job_id] = result_of(job_id, version)
            if len(self._seen) > MOST_SEEN:
                self._seen.popitem(last=False)

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels a job that is not final, and removes its payload."""
        job = await self._desk.cancel(job_id)
        if job is not None and job.state is JobState.CANCELLED:
            await self._shelf.drop([payload_of(job_id)])
        return job

    async def acknowledge(self, job_id: str) -> Job | None:
        """Removes the result of a final job, and its payload if it was dead."""
        if self._shelf.blobs is not None and job_id not in self._seen:
            framed = await self._desk.result(job_id)
            if framed is not None:
                self._note(job_id, framed)
        job = await self._desk.acknowledge(job_id)
        if job is not None and job.is_expired:
            await self._drop_seen([job_id])
            if job.state is JobState.DEAD:
                await self._shelf.drop([payload_of(job_id)])
        return job

    async def _drop_seen(self, job_ids: Sequence[str]) -> None:
        await self._shelf.drop([self._seen.pop(job_id) for job_id in job_ids if job_id in self._seen])

    async def job(self, job_id: str) -> Job | None:
        """The job as it stands."""
        return await self._desk.job(job_id)

    async def requeue(self, job_id: str) -> Job | None:
        """Gives a dead job new attempts."""
        return await self._desk.requeue(job_id)

    async def group(self, group_id: str) -> Group | None:
        """A request's jobs, counted by state."""
        return await self._desk.group(group_id)

    async def group_jobs(self, group_id: str, *, offset: int = 0, limit: int = 100) -> Sequence[Job]:
        """Jobs of a group in the order of its request."""
        return await self._desk.group_jobs(group_id, offset=offset, limit=limit)

    async def jobs(
        self, owner: str | None, *, state: JobState | None = None, cursor: str = "", limit: int = 100
    ) -> JobPage:
        """The jobs of one owner, or of everybody, newest first."""
        return await self._desk.jobs(owner, state=state, cursor=cursor, limit=limit)

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Removes the results of many final jobs; blobs that were not asked for here go when they are swept."""
        await self._desk.forget(job_ids)
        await self._drop_seen(job_ids)

    async def finished(self, gateway: str, *, wait_seconds: float) -> Sequence[FinishedJob]:
        """Jobs that this gateway waits for and that became final; results in the store have to be asked for."""
        found = await self._desk.finished(gateway, wait_seconds=wait_seconds)
        return [_without_frame(one) for one in found]

    async def workers(self) -> Sequence[WorkerInfo]:
        """The workers that were heard of, by name."""
        return await self._desk.workers()

    async def events(self, after: str, *, limit: int = 1000, wait_seconds: float = 0.0) -> EventPage:
        """Events after the one with this id."""
        return await self._desk.events(after, limit=limit, wait_seconds=wait_seconds)

    async def tell(self, kind: EventKind, *, worker: str = "", detail: str = "") -> None:
        """Adds an event that is not of jobs."""
        await self._desk.tell(kind, worker=worker, detail=detail)

    async def counts(self) -> QueueCounts:
        """The queue in numbers."""
        return await self._desk.counts()

    async def expire(self, *, limit: int = 100) -> int:
        """Removes results and memories whose time is over; their blobs go when they are swept."""
        return await self._desk.expire(limit=limit)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._desk.close()


class OffloadingSource:
    """Implements `heliograph.core.queue.JobSource` over another one."""

    def __init__(self, source: JobSource, shelf: Shelf) -> None:
        self._source = source
        self._shelf = shelf

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        """Begins with jobs; of those whose payload is gone the attempt has failed.

        Raises:
            BlobStoreUnavailable: the store cannot be read; the jobs are handed back and the attempts do not count.
                Where the queue does not hear of that, nothing is begun and their leases bring them back.
        """
        begun = await self._source.start(worker, deliveries)
        try:
            found = await self._shelf.fetch([(payload_of(a.delivery.job_id), a.payload) for a in begun])
            await self._raise_if_unusable(found)
        except asyncio.CancelledError:
            await self._hand_back_begun(worker, begun)
            raise
        except errors.BlobStoreUnavailable:
            if not await self._hand_back_begun(worker, begun):
                return ()  # to begin with them once more would be another attempt
            raise
        whole: list[Assignment] = []
        for assignment, payload in zip(begun, found, strict=True):
            match payload:
                case bytes():
                    whole.append(replace(assignment, payload=payload))
                case None:
                    await self._retry_begun(worker, assignment, PAYLOAD_LOST)
                case error:
                    problem = JobProblem(code=error.code, message=error.message)
                    await self._retry_begun(worker, assignment, problem)
        return whole

    async def _hand_back_begun(self, worker: str, begun: Sequence[Assignment]) -> bool:
        """Whether the queue heard of it. If not, they come back when their leases are over."""
        try:
            await self._source.hand_back(worker, begun)
        except errors.CapacityError:
            return False
        return True

    async def _retry_begun(self, worker: str, assignment: Assignment, problem: JobProblem) -> None:
        """Without the queue the lease ends the attempt; the others of the same call are begun all the same."""
        with suppress(errors.CapacityError):
            await self._source.retry(worker, assignment, problem)

    async def _raise_if_unusable(self, found: Sequence[bytes | errors.HeliographError | None]) -> None:
        """Raises why the store cannot be read, unless this is about single files: those stop no other job."""
        failures = [one for one in found if isinstance(one, errors.BlobStoreUnavailable)]
        if failures and not await self._shelf.is_usable():
            raise failures[0]

    async def finish(self, worker: str, outcomes: Sequence[Outcome]) -> Sequence[bool]:
        """Stores results and reasons; False where the assignment was lost.

        Raises:
            BlobStoreUnavailable: the store does not take some results. The others are stored; the call may be
                repeated.
        """
        failures = await self._keep_results(outcomes)
        kept = [outcome for outcome, failure in zip(outcomes, failures, strict=True) if failure is None]
        stored = await self._source.finish(worker, [self._framed(outcome) for outcome in kept])
        await self._shelf.drop(
            [
                payload_of(one.assignment.delivery.job_id) if is_stored else _result_of(one)
                for one, is_stored in zip(kept, stored, strict=True)
            ]
        )
        for failure in failures:
            if failure is not None:
                raise failure
        return stored

    async def _keep_results(self, outcomes: Sequence[Outcome]) -> Sequence[errors.HeliographError | None]:
        """Puts results into the store; why that failed, for each outcome of which it did."""
        results = {
            place: (_result_of(outcome), outcome.answer.data)
            for place, outcome in enumerate(outcomes)
            if isinstance(outcome.answer, JobResult) and self._shelf.keeps(outcome.answer.data)
        }
        answers = dict(zip(results, await self._shelf.keep(list(results.values())), strict=True))
        return [answers.get(place) for place in range(len(outcomes))]

    def _framed(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome.answer, JobResult):
            return outcome
        frame = self._shelf.frame(_result_of(outcome), outcome.answer.data)
        elsewhere = outcome.answer.kept_elsewhere + frame.kept_elsewhere
        return replace(outcome, answer=replace(outcome.answer, data=frame.data, kept_elsewhere=elsewhere))

    async def read(
        self, worker: str, *, count: int, prefer: Priority = Priority.INTERACTIVE, wait_seconds: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to ``count`` new jobs, of the preferred priority first."""
        return await self._source.read(worker, count=count, prefer=prefer, wait_seconds=wait_seconds)

    async def reclaim(self, worker: str, *, count: int, models: Collection[str] = ()) -> Sequence[Delivery]:
        """Up to ``count`` jobs that were given back or whose lease is over."""
        return await self._source.reclaim(worker, count=count, models=models)

    async def renew(self, worker: str, held: Sequence[Delivery | Assignment]) -> Sequence[Verdict]:
        """Renews the lease of each; what the queue says to each."""
        return await self._source.renew(worker, held)

    async def retry(self, worker: str, assignment: Assignment, problem: JobProblem) -> bool:
        """Lets another attempt follow, if one is left; False if the assignment was lost."""
        return await self._source.retry(worker, assignment, problem)

    async def hand_back(
        self, worker: str, held: Sequence[Delivery | Assignment], *, lacks_model: bool = False
    ) -> None:
        """Gives up what this worker holds; the attempts do not count."""
        await self._source.hand_back(worker, held, lacks_model=lacks_model)

    async def beat(self, info: WorkerInfo) -> None:
        """Says that a worker is there, and how it is."""
        await self._source.beat(info)

    async def release(self, worker: str) -> int:
        """Gives up what a worker held that is gone, and its name."""
        return await self._source.release(worker)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._source.close()


def _without_frame(finished: FinishedJob) -> FinishedJob:
    if finished.result is None:
        return finished
    data = data_here(finished.result.data)
    return replace(finished, result=None if data is None else replace(finished.result, data=data))


def _result_of(outcome: Outcome) -> BlobName:
    return result_of(outcome.assignment.delivery.job_id, outcome.assignment.token)
