"""A queue in the memory of one process: what its two ends share. Nothing of it outlives the process."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from heliograph.adapters.queue.memory_events import EventLog
from heliograph.adapters.queue.memory_workers import Heartbeats
from heliograph.core.durations import RecentDurations, quantile
from heliograph.core.events import Event, EventKind
from heliograph.core.jobs import (
    FINAL_STATES,
    TRANSITIONS,
    Backlog,
    Group,
    Job,
    JobEvent,
    JobProblem,
    JobResult,
    JobState,
    Priority,
    QueueCounts,
)
from heliograph.core.ports import Clock
from heliograph.core.queue import QueueRules

NOBODY = ""
MAX_REPLIES = 10_000


@dataclass(slots=True, eq=False)
class GroupRecord:
    """A request: its jobs counted by state, and how many of them are still known."""

    id: str
    owner: str
    priority: Priority
    reply_to: str
    job_ids: tuple[str, ...]
    known: int
    counts: Counter[JobState] = field(default_factory=Counter)

    def as_group(self, *, is_new: bool = True) -> Group:
        """What its owner sees."""
        counts = {state: number for state, number in self.counts.items() if number}
        return Group(id=self.id, owner=self.owner, job_ids=self.job_ids, counts=counts, is_new=is_new)


@dataclass(slots=True, eq=False)
class JobRecord:
    """All that is known of a job.

    ``size`` is what its payload counts, wherever it lies. ``entry`` is its place in line, a new one when it is
    queued again.
    """

    id: str
    name: str
    model: str
    parameters: str
    payload: bytes
    size: int
    group: GroupRecord
    sequence: int
    accepted_at: float
    entry: str = ""
    queued_at: float = 0.0
    state: JobState = JobState.QUEUED
    result: JobResult | None = None
    problem: JobProblem | None = None
    attempts: int = 0
    token: str = ""
    worker: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    is_expired: bool = False

    @property
    def result_bytes(self) -> int:
        """What its result counts, wherever it lies."""
        return len(self.result.data) + self.result.kept_elsewhere if self.result else 0

    def as_job(self) -> Job:
        """What its owner sees."""
        told = self.state in (JobState.FAILED, JobState.DEAD) and not self.is_expired
        return Job(
            id=self.id,
            group=self.group.id,
            owner=self.group.owner,
            name=self.name,
            model=self.model,
            priority=self.group.priority,
            state=self.state,
            accepted_at=self.accepted_at,
            attempts=self.attempts,
            worker=self.worker,
            started_at=self.started_at,
            finished_at=self.finished_at,
            problem=self.problem if told else None,
            facts=self.result.facts if self.result else "",
            is_expired=self.is_expired,
        )


@dataclass(slots=True, eq=False)
class Lease:
    """A job that was handed out: which worker holds it, or `NOBODY`, and since when."""

    job: JobRecord
    worker: str
    since: float
    lacks_model: bool = False
    """Whether it was handed back for want of its model."""


class MemoryQueue:
    """The jobs of this process, and how they change. Its ends are `MemoryDesk` and `MemorySource`."""

    def __init__(self, rules: QueueRules, clock: Clock) -> None:
        """An empty queue.

        Args:
            rules: the numbers of the protocol.
            clock: seconds since the epoch.
        """
        self.rules = rules
        self.clock = clock
        self.jobs: dict[str, JobRecord] = {}
        self.sequences: dict[int, JobRecord] = {}
        self.groups: dict[str, GroupRecord] = {}
        self.waiting: Mapping[Priority, deque[JobRecord]] = {priority: deque() for priority in Priority}
        self.leases: Mapping[Priority, dict[str, Lease]] = {priority: {} for priority in Priority}
        self.timetable: dict[str, float] = {}
        self.memories: dict[str, float] = {}
        self.replies: dict[str, deque[str]] = {}
        self.events = EventLog(clock)
        self.durations = RecentDurations(clock)
        self.workers = Heartbeats(clock, self.events)
        self.states: Counter[tuple[Priority, JobState]] = Counter()
        self.stored_bytes = self.result_bytes = self.accepted = self.redelivered = self.expired = 0
        self._entries = 0
        self._news = asyncio.Event()

    def add(self, record: JobRecord) -> None:
        """Takes a job in."""
        self.accepted += 1
        self.jobs[record.id] = self.sequences[record.sequence] = record
        self.stored_bytes += record.size
        self.states[record.group.priority, record.state] += 1
        record.group.counts[record.state] += 1
        self.note(EventKind.ACCEPTED, record)
        self.line_up(record)

    def line_up(self, record: JobRecord) -> None:
        """Puts a job at the end of its line."""
        self._entries += 1
        record.entry = str(self._entries)
        record.queued_at = self.clock()
        self.waiting[record.group.priority].append(record)
        self.announce()

    def move(self, record: JobRecord, event: JobEvent) -> None:
        """Lets an event happen to a job, which must allow it."""
        for state, by in ((record.state, -1), (TRANSITIONS[record.state, event], 1)):
            self.states[record.group.priority, state] += by
            record.group.counts[state] += by
            record.state = state

    def settle(self, record: JobRecord, event: JobEvent, *, worker: str = "") -> None:
        """Makes a job final. Its payload goes at once, unless it is dead and may be queued again."""
        self.move(record, event)
        self.note(EventKind(record.state.value), record, worker)
        if record.state is not JobState.DEAD:
            self.stored_bytes -= record.size
            record.payload, record.size = b"", 0
        record.finished_at = self.clock()
        if record.state is not JobState.CANCELLED:
            self.durations.add(record.finished_at - record.accepted_at)
        self.timetable[record.id] = record.finished_at + self.rules.result_seconds
        self.leases[record.group.priority].pop(record.entry, None)
        if record.group.reply_to:
            replies = self.replies.setdefault(record.group.reply_to, deque(maxlen=MAX_REPLIES))
            replies.append(record.id)
            self.announce()

    def forget_result(self, record: JobRecord) -> None:
        """Removes what a final job answered, and its picture."""
        self.timetable.pop(record.id, None)
        self.stored_bytes -= record.size + record.result_bytes
        self.result_bytes -= record.result_bytes
        record.payload, record.size, record.result, record.is_expired = b"", 0, None, True
        self.expired += 1
        self.memories[record.id] = self.clock() + self.rules.memory_seconds
        self.announce()

    def forget(self, job_id: str) -> None:
        """Forgets that there was such a job."""
        del self.memories[job_id]
        record = self.jobs.pop(job_id)
        del self.sequences[record.sequence]
        group = record.group
        group.known -= 1
        if group.known == 0:
            del self.groups[group.id]

    def note(self, kind: EventKind, record: JobRecord, worker: str = "") -> None:
        """Notes what happened to a job, to be told by `tell_notes` at the end of the call."""
        group = record.group
        draft = Event(id="", at=0.0, kind=kind, group=group.id, owner=group.owner, worker=worker)
        self.events.note(draft, record.id)

    def tell_notes(self) -> None:
        """Tells what a call did, the jobs of a group together."""
        if self.events.add_notes():
            self.announce()

    @property
    def settled(self) -> int:
        """How many jobs are final."""
        return sum(number for (_, state), number in self.states.items() if state in FINAL_STATES)

    def has_to_wait(self, priority: Priority) -> bool:
        """Whether results take too much room, so that these jobs have to wait until some have gone.

        They have to be a third of what is stored: less than that does not make room, and work does.
        """
        too_much = self.rules.max_bytes * self.rules.results_overrun
        return priority is Priority.BULK and 3 * self.result_bytes > self.stored_bytes > too_much

    def counts(self) -> QueueCounts:
        """The queue in numbers."""
        return QueueCounts(
            backlog={priority: self._backlog(priority) for priority in Priority},
            stored_bytes=self.stored_bytes,
            accepted=self.accepted,
            finished={state: sum(self.states[p, state] for p in Priority) for state in FINAL_STATES},
            redelivered=self.redelivered,
            expired=self.expired,
            p95_seconds=quantile(self.durations.counts(), 0.95),
        )

    def _backlog(self, priority: Priority) -> Backlog:
        line = self.waiting[priority]
        while line and line[0].state is not JobState.QUEUED:
            line.popleft()  # cancelled while it waited
        return Backlog(
            waiting=self.states[priority, JobState.QUEUED],
            running=self.states[priority, JobState.RUNNING],
            oldest_waiting_seconds=max(0.0, self.clock() - line[0].queued_at) if line else 0.0,
        )

    def announce(self) -> None:
        """Wakes all who wait for jobs, answers or events."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, deadline: float) -> bool:
        """Waits until there may be something; False at the deadline (in the event loop's time)."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._news.wait()
        except TimeoutError:
            return False
