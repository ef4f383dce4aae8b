"""Jobs: predictions that were accepted to be done later, the states they pass, and what is kept of them.

::

    queued ──start──▶ running ──finish──▶ done
      ▲  ▲              │ │ └───fail────▶ failed      the input is at fault: final at once
      │  └─hand back────┘ └─────exhaust─▶ dead        attempts used up; `requeue` makes it queued again
      └─────retry───────┘
    queued, running ──cancel──▶ cancelled

At rest, accepted = done + failed + dead + cancelled.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Its input is at fault; the same bytes will never succeed."""
    DEAD = "dead"
    """Its attempts are used up; kept with the reason until it expires, and can be requeued."""
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether no worker will touch the job again."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED})


class JobEvent(StrEnum):
    """What happens to a job."""

    START = "start"
    """A worker begins; also with a job whose last worker was lost."""
    FINISH = "finish"
    FAIL = "fail"
    RETRY = "retry"
    """The attempt failed on our side; it counts, and another one may succeed."""
    HAND_BACK = "hand-back"
    """The worker stops; the attempt does not count."""
    EXHAUST = "exhaust"
    CANCEL = "cancel"
    REQUEUE = "requeue"


TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = {
    (JobState.QUEUED, JobEvent.START): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.EXHAUST): JobState.DEAD,
    (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobEvent.START): JobState.RUNNING,
    (JobState.RUNNING, JobEvent.FINISH): JobState.DONE,
    (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.RETRY): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.HAND_BACK): JobState.QUEUED,
    (JobState.RUNNING, JobEvent.EXHAUST): JobState.DEAD,
    (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.DEAD, JobEvent.REQUEUE): JobState.QUEUED,
}
"""Every change that may happen; what is not here is refused or has no effect."""


class Priority(StrEnum):
    """Which stream a job waits in."""

    INTERACTIVE = "interactive"
    """Somebody waits for the answer."""
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProblem:
    """Why a job has no result: a stable code and a message for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The answer of a job that is done.

    ``facts`` is a JSON document of what belongs to the answer beside its bytes: timings, sizes. ``kept_elsewhere``
    is how many bytes of the answer lie in a blob store, which count like those here.
    """

    data: bytes
    media_type: str
    facts: str = "{}"
    kept_elsewhere: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedJob:
    """A job that became final, and its result where that came along; else the job has to be asked for it."""

    job_id: str
    result: JobResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """One picture to be answered later.

    ``parameters`` is a JSON document that only workers read. ``kept_elsewhere`` is how many bytes of the payload lie
    in a blob store, which count like those here.
    """

    id: str
    name: str
    model: str
    payload: bytes
    parameters: str = "{}"
    kept_elsewhere: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """The jobs of one request.

    Args:
        id: of the group.
        owner: the API key's name, or "" where no keys are used.
        jobs: at least one.
        priority: which stream they wait in.
        reply_to: the gateway that waits for the answers, or "".
        idempotency_key: stands for this group for a day, together with the owner; "" for none.
        fingerprint: of the request's body; a key that comes again with another one is refused.
    """

    id: str
    owner: str
    jobs: tuple[NewJob, ...]
    priority: Priority = Priority.BULK
    reply_to: str = ""
    idempotency_key: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. Times are seconds since the epoch by the queue's clock, None before they are."""

    id: str
    group: str
    owner: str
    name: str
    model: str
    priority: Priority
    state: JobState
    accepted_at: float
    attempts: int = 0
    worker: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    problem: JobProblem | None = None
    facts: str = ""
    """`JobResult.facts`, once it is done; "" before that and after it expired."""
    is_expired: bool = False
    """The result was there and is gone: after its time, or because its owner acknowledged it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The jobs of one request, counted by state. ``is_new`` is False for a repeated idempotency key."""

    id: str
    owner: str
    job_ids: tuple[str, ...]
    counts: Mapping[JobState, int] = field(default_factory=dict)
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs of a list, newest first, and where the next page begins; "" at the end."""

    jobs: tuple[Job, ...]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A job that was handed to a worker, which has not begun with it.

    ``entry`` is its place in the stream; ``attempts`` is how often a worker has begun with it before.
    """

    job_id: str
    entry: str
    priority: Priority
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A job that a worker has begun. ``token`` fences off everybody else."""

    delivery: Delivery
    token: str
    attempt: int
    name: str
    model: str
    parameters: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A worker's last word on a job: its result, or why its input is at fault."""

    assignment: Assignment
    answer: JobResult | JobProblem


class Verdict(StrEnum):
    """What the queue says to a worker that holds a job."""

    MINE = "mine"
    LOST = "lost"
    """Another worker has it, or it is finished: drop it."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """One priority's waiting and running jobs."""

    waiting: int
    running: int
    oldest_waiting_seconds: float
    """Since when the next one to be read waits; 0.0 if none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """The queue in numbers; totals count since it was made.

    accepted = waiting + running + finished, of both priorities and all final states. So a job that is requeued
    leaves ``finished`` again. ``expired`` counts results that are gone. ``p95_seconds`` is what 95 of 100 jobs took at
    most from accepted to done, failed or dead, of those that came there in the last minute; None of no jobs.
    """

    backlog: Mapping[Priority, Backlog]
    stored_bytes: int
    accepted: int
    finished: Mapping[JobState, int]
    redelivered: int
    expired: int
    p95_seconds: float | None = None


def new_id() -> str:
    """An id for a job or a group that nobody guesses, and that does not tell when it was made."""
    return secrets.token_hex(16)
