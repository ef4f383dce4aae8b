"""What lies on the server, as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from heliograph.core.durations import quantile
from heliograph.core.events import Event, EventKind, EventPage
from heliograph.core.jobs import (
    FINAL_STATES,
    Backlog,
    FinishedJob,
    Group,
    Job,
    JobProblem,
    JobResult,
    JobState,
    Priority,
    QueueCounts,
)
from heliograph.core.workers import HEARTBEAT_LOST_SECONDS, WorkerInfo, WorkerState

STATES = {state.value: state for state in WorkerState}
KINDS = {kind.value: kind for kind in EventKind}


def text(value: bytes | str | None) -> str:
    """A server's string; "" for none."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def milliseconds(seconds: float) -> int:
    """A time as the server counts it."""
    return int(1000 * seconds)


def _fields(record: Mapping[bytes, bytes]) -> dict[str, str]:
    return {text(name): text(value) for name, value in record.items()}


def _seconds(value: str | None) -> float | None:
    return int(value) / 1000 if value else None


def job_of(job_id: str, record: Mapping[bytes, bytes]) -> Job | None:
    """The job that a hash holds; None for an empty one."""
    known = _fields(record)
    if "state" not in known:
        return None
    state = JobState(known["state"])
    problem = None
    if state in (JobState.FAILED, JobState.DEAD) and "code" in known:
        problem = JobProblem(code=known["code"], message=known.get("message", ""))
    return Job(
        id=job_id,
        group=known["group"],
        owner=known["owner"],
        name=known["name"],
        model=known["model"],
        priority=Priority(known["priority"]),
        state=state,
        accepted_at=int(known["accepted"]) / 1000,
        attempts=int(known["attempts"]),
        worker=known.get("worker", ""),
        started_at=_seconds(known.get("started")),
        finished_at=_seconds(known.get("finished")),
        problem=problem,
        facts=known.get("facts", ""),
        is_expired="expired" in known,
    )


def finished_of(reply: bytes) -> FinishedJob:
    """What `finish.lua` tells a gateway: a job's id, for small results with media type, facts and bytes after it."""
    job_id, *rest = reply.split(b"\n", 3)
    if not rest:
        return FinishedJob(job_id=text(job_id))
    media_type, facts, data = rest
    result = JobResult(data=data, media_type=text(media_type), facts=text(facts))
    return FinishedJob(job_id=text(job_id), result=result)


def group_of(group_id: str, record: Mapping[bytes, bytes], members: Sequence[bytes]) -> Group | None:
    """The group that a hash and a list hold; None for an empty hash."""
    known = _fields(record)
    if "owner" not in known:
        return None
    ids = tuple(text(member) for member in members)
    counts = {state: int(known[state]) for state in JobState if int(known.get(state, 0))}
    return Group(id=group_id, owner=known["owner"], job_ids=ids, counts=counts)


def counts_of(
    counters: Sequence[bytes], now_ms: int, durations: Sequence[bytes | int], *oldest: bytes
) -> QueueCounts:
    """The queue in numbers.

    It comes of counters, jobs by how long they took, and the first undelivered entry of each priority, or b"".

    An entry's id begins with its time. One that was cancelled stays where it is until it is read, so that there may
    be an entry although nothing waits.
    """
    pairs = zip(counters[::2], counters[1::2], strict=True)
    known = {text(name): int(value) for name, value in pairs}
    took = {int(place): int(jobs) for place, jobs in zip(durations[::2], durations[1::2], strict=True)}
    backlog = {}
    for priority, entry in zip(Priority, oldest, strict=True):
        waiting = known.get(f"queued:{priority}", 0)
        since_ms = int(entry.partition(b"-")[0]) if entry and waiting else now_ms
        backlog[priority] = Backlog(
            waiting=waiting,
            running=known.get(f"running:{priority}", 0),
            oldest_waiting_seconds=max(0, now_ms - since_ms) / 1000,
        )
    return QueueCounts(
        backlog=backlog,
        stored_bytes=known.get("bytes", 0),
        accepted=known.get("accepted", 0),
        finished={state: known.get(state, 0) for state in FINAL_STATES},
        redelivered=known.get("redelivered", 0),
        expired=known.get("expired", 0),
        p95_seconds=quantile(took, 0.95),
    )


def heartbeat(info: WorkerInfo) -> str:
    """What a worker says of itself beside its name and state."""
    return json.dumps({
        "host": info.host,
        "pid": info.pid,
        "models": dict(info.models),
        "problems": dict(info.problems),
        "plans": {model: dict(plan) for model, plan in info.plans.items()},
        "holding": info.holding,
        "finished": info.finished,
        "started_at": info.started_at,
    })  # fmt: skip


def worker_of(name: str, stored: bytes, seen_ms: int, now_ms: int) -> WorkerInfo | None:
    """The worker that a state and a heartbeat tell of, last heard of then; None for what another version says."""
    state, _, rest = text(stored).partition(" ")
    known = STATES.get(state)
    if now_ms - seen_ms >= milliseconds(HEARTBEAT_LOST_SECONDS):
        known = WorkerState.GONE
    if known is None:
        return None
    try:
        said = json.loads(rest)
        return WorkerInfo(
            name=name,
            state=known,
            host=str(said["host"]),
            pid=int(said["pid"]),
            models=dict(said["models"]),
            problems=dict(said["problems"]),
            plans=dict(said["plans"]),
            holding=int(said["holding"]),
            finished=int(said["finished"]),
            started_at=float(said["started_at"]),
            seen_at=seen_ms / 1000,
        )
    except (ValueError, KeyError, TypeError):
        return None


def event_page(after: str, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> EventPage:
    """The events of entries that follow one; without those of which only a newer version knows what they are."""
    events, last_id = [], after
    for entry, fields in entries:
        last_id = text(entry)
        known = _fields(fields)
        kind = KINDS.get(known.get("kind", ""))
        if kind is not None:
            events.append(_event(last_id, kind, known))
    return EventPage(events=tuple(events), last_id=last_id)


def _event(event_id: str, kind: EventKind, known: Mapping[str, str]) -> Event:
    return Event(
        id=event_id,
        at=int(event_id.partition("-")[0]) / 1000,
        kind=kind,
        group=known.get("group", ""),
        owner=known.get("owner", ""),
        worker=known.get("worker", ""),
        job_ids=tuple(known.get("jobs", "").split()),
        detail=known.get("detail", ""),
    )
