"""What happened, as every gateway tells it: one stream of events for jobs, workers and scaling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class EventKind(StrEnum):
    """What happened to jobs (the first eight), to a worker, or to the fleet."""

    ACCEPTED = "accepted"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    """Handed back, or to be tried again."""
    REQUEUED = "requeued"
    WORKER_UP = "worker-up"
    WORKER_CHANGED = "worker-changed"
    """Its state is another one."""
    WORKER_DOWN = "worker-down"
    """It left, or is known to be dead."""
    WORKER_LOST = "worker-lost"
    """Nothing has been heard of it for too long."""
    FLEET = "fleet"
    """The fleet was scaled or a worker was stopped; the detail says how."""


WORKER_KINDS = frozenset(
    {EventKind.WORKER_UP, EventKind.WORKER_CHANGED, EventKind.WORKER_DOWN, EventKind.WORKER_LOST}
)
JOB_KINDS = frozenset(EventKind) - WORKER_KINDS - {EventKind.FLEET}

EventPlace: TypeAlias = tuple[int, int]
"""An event's id as streams give them: milliseconds, and a number for those of the same one."""

BEGINNING: EventPlace = (0, 0)
ID_PATTERN = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")
LARGEST = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the stream. Events of jobs are of one group each, and may be of several of its jobs.

    Args:
        id: its place; grows.
        at: seconds since the epoch by the queue's clock.
        kind: what happened.
        group: the jobs' group, or "".
        owner: whose jobs they are, or "".
        worker: who did it, or what the event is about; "" for none.
        job_ids: of the jobs.
        detail: for people; the state of a worker, or what was done to the fleet.
    """

    id: str
    at: float
    kind: EventKind
    group: str = ""
    owner: str = ""
    worker: str = ""
    job_ids: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in their order, and where to read on.

    ``is_complete`` is False where the place that was asked for is not known (any more), for the stream is capped: what
    followed may be lost. Then there are no events, and it goes on from now.
    """

    events: tuple[Event, ...]
    last_id: str
    is_complete: bool = True


def event_place(event_id: str) -> EventPlace | None:
    """The place that an id names; None for what no server takes for one."""
    found = ID_PATTERN.fullmatch(event_id)
    place = (int(found[1]), int(found[2])) if found else (LARGEST + 1, 0)
    return place if max(place) <= LARGEST else None


def event_id(place: EventPlace) -> str:
    """The id of a place."""
    return f"{place[0]}-{place[1]}"
