"""The port of the queue, from both ends. At least once delivered, exactly one visible result.

One contract suite (``tests/contract/test_queues.py``) holds for every implementation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from heliograph.core.workers import WorkerInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """The numbers of the protocol. Bytes count payloads and stored results, and jobs themselves by ``job_bytes``."""

    max_jobs: int = 100_000
    """How many jobs may be queued or running."""
    max_bytes: int = 2_000_000_000
    job_bytes: int = 2_000
    """What a job counts against ``max_bytes`` beside its payload and result, until its result is gone."""
    max_server_share: float = 0.6
    """The share of its server's memory limit above which a queue takes no more."""
    bulk_share: float = 0.9
    """The share of each bound that is open to bulk jobs; the rest is for those that somebody waits for."""
    results_overrun: float = 1.5
    """With more than so many times ``max_bytes`` stored, workers get no bulk jobs until results have gone.

    Results come whether there is room or not; this bounds them. Where less than a third of what is stored are results,
    work goes on all the same: it makes more room than waiting does.
    """
    results_server_share: float = 0.85
    """The share of its server's memory limit above which they get none either."""
    max_attempts: int = 3
    lease_seconds: float = 10.0
    result_seconds: float = 3600.0
    """How long a result is kept after it is there."""
    memory_seconds: float = 86_400.0
    """How long it is known that there was a job or an idempotency key."""
    max_memories: int = 200_000
    """How many jobs whose result is gone are known at most; of more, the oldest are forgotten early."""
    max_keys: int = 100_000
    """How many idempotency keys a queue in memory knows at most; on a server its memory is the bound."""
    idle_worker_seconds: float = 60.0
    """After how long the name of a worker that holds nothing and reads nothing is removed."""


class JobDesk(Protocol):
    """The gateway's end: takes jobs in and tells what became of them."""

    async def enqueue(self, group: NewGroup) -> Group:
        """The group, all of whose jobs are stored, or that of the same idempotency key.

        Raises:
            QueueFull: over a bound; nothing was stored.
            IdempotencyConflict: the key stands for another body.
            QueueUnavailable: the server behind the queue does not answer.
        """

    async def job(self, job_id: str) -> Job | None:
        """The job as it stands; None if nobody knows it (any more)."""

    async def result(self, job_id: str) -> JobResult | None:
        """What a job that is done answered; None before that, and after it expired."""

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels a job that is not final; the job as it stands then."""

    async def acknowledge(self, job_id: str) -> Job | None:
        """Removes the result of a final job, and the job from lists; the job as it stands then."""

    async def requeue(self, job_id: str) -> Job | None:
        """Gives a dead job new attempts; the job as it stands then.

        Others stay as they are, and so does one whose picture is gone because its time was over.

        Raises:
            QueueFull: there is no room for one more; it stays dead.
        """

    async def group(self, group_id: str) -> Group | None:
        """A request's jobs, counted by state without reading them."""

    async def group_jobs(self, group_id: str, *, offset: int = 0, limit: int = 100) -> Sequence[Job]:
        """Jobs of a group in the order of its request, so many from the one at ``offset``; those that are known."""

    async def jobs(
        self, owner: str | None, *, state: JobState | None = None, cursor: str = "", limit: int = 100
    ) -> JobPage:
        """The jobs of one owner, or of everybody for None, newest first; without those whose result is gone.

        Of one state, a call looks at a bounded number of jobs: there may be fewer on its page, even none, and more on
        the next one.

        Raises:
            ParameterInvalid: no page begins at such a cursor.
        """

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Removes the results of many final jobs, as `acknowledge` does of one."""

    async def finished(self, gateway: str, *, wait_seconds: float) -> Sequence[FinishedJob]:
        """Jobs whose answer this gateway waits for and that became final; empty when the time is over.

        Small results come along.
        """

    async def workers(self) -> Sequence[WorkerInfo]:
        """The workers that were heard of, by name; those that have fallen silent are `WorkerState.GONE`."""

    async def events(self, after: str, *, limit: int = 1000, wait_seconds: float = 0.0) -> EventPage:
        """Up to ``limit`` events after the one with this id, or from now on for "".

        Waits so long if there are none, and returns as soon as there is one; it may return with none before the time
        is over. For "" there are never any: the page says from where on to read. ``0-0`` stands before the first.
        """

    async def tell(self, kind: EventKind, *, worker: str = "", detail: str = "") -> None:
        """Adds an event that is not of jobs; twice, if the answer was lost on the way."""

    async def counts(self) -> QueueCounts:
        """The queue in numbers; costs the same however long it is."""

    async def expire(self, *, limit: int = 100) -> int:
        """Removes results and memories whose time is over, so many of each at most; how many.

        To be called every few seconds by somebody. It also tells of workers that are lost, and forgets them later.
        """

    async def close(self) -> None:
        """Lets go of connections."""


class JobSource(Protocol):
    """A worker's end: hands out jobs and takes their answers. ``worker`` names a process, never used twice.

    Each call may be repeated after its answer was lost on the way: the second does nothing, and answers the same.
    Only of ``read`` and ``reclaim`` the answer is lost; those jobs come back when their lease is over.
    """

    async def read(
        self, worker: str, *, count: int, prefer: Priority = Priority.INTERACTIVE, wait_seconds: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to ``count`` new jobs, of the preferred priority first.

        Waits so long if there are none, and returns as soon as there is one. It may return with none before the
        time is over; a caller that stops its wait by cancelling it may lose a job to its lease. None of bulk while
        results take too much room, see `QueueRules.results_overrun`.
        """

    async def reclaim(self, worker: str, *, count: int, models: Collection[str] = ()) -> Sequence[Delivery]:
        """Up to ``count`` jobs that were given back or whose worker let its lease run out; this worker's now.

        Last come those that were handed back for want of one of ``models``, which this worker has.
        Like ``read``, none of bulk while results take too much room.
        A call looks at a bounded part of what workers hold and the next one goes on there: call it on a timer.
        A job that this worker let run out itself is among them; if it still computes, `start` fences that off.
        """

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        """Begins with jobs; those that are settled, another worker's or just became dead are left out.

        A job with attempts used up becomes dead here, as does one whose payload the server has lost. To begin once
        more after an answer is another attempt; after none, with the same deliveries, it is the same call.
        """

    async def renew(self, worker: str, held: Sequence[Delivery | Assignment]) -> Sequence[Verdict]:
        """Renews the lease of each; what the queue says to each, in their order."""

    async def finish(self, worker: str, outcomes: Sequence[Outcome]) -> Sequence[bool]:
        """Stores results and reasons; False, in their order, where the assignment was lost and nothing was stored."""

    async def retry(self, worker: str, assignment: Assignment, problem: JobProblem) -> bool:
        """The attempt failed on our side: another one follows, or the job is dead if none is left.

        False if the assignment was lost.
        """

    async def hand_back(
        self, worker: str, held: Sequence[Delivery | Assignment], *, lacks_model: bool = False
    ) -> None:
        """Gives up what this worker holds; others get it at once and the attempts do not count.

        If it ``lacks_model``, only those get it that name the job's model to `reclaim`, so that what waits for a model
        that nobody has is not tried again and again in the place of others.
        """

    async def beat(self, info: WorkerInfo) -> None:
        """Says that a worker is there, and how it is. Tells of it when it is new, and when its state is another."""

    async def release(self, worker: str) -> int:
        """Gives up what a worker held that is known to be dead or left, and its name; how many jobs it held.

        Others get them at once; attempts count. Its heartbeat is forgotten, and it is told of if there was one.
        """

    async def close(self) -> None:
        """Lets go of connections."""
