"""One reader of the events: what it is told, in which order, and how much of it.

It hears what happens from the moment it came; before that, a snapshot, or what it missed since the event that it names.
Whenever that cannot be made seamless (it is too slow, the stream has lost the place, the queue was away) it is told to
start over and gets a new snapshot.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from heliograph.core import errors
from heliograph.core.events import BEGINNING, JOB_KINDS, Event, EventKind, EventPage, event_place
from heliograph.core.jobs import QueueCounts
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.access import Caller

MAX_WAITING_EVENTS = 1000
JOB_EVENTS_A_SECOND = 50
COUNTED_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Something was missed: forget what you know; a snapshot follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How things stand. Events after ``id`` may tell again what is in it.

    ``counts`` is None, and there are no workers, for a reader that does not see all.
    """

    id: str
    counts: QueueCounts | None
    workers: Sequence[WorkerInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many jobs of a kind of event there were in so many seconds, told in the place of those events."""

    id: str
    counts: Mapping[EventKind, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The queue does not answer; a reset follows when it does again."""

    problem: errors.HeliographError


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The queue in numbers and its workers by state, as they were at a time in seconds since the epoch."""

    at: float
    counts: QueueCounts
    workers: Mapping[WorkerState, int]


Told: TypeAlias = Event | Snapshot | JobCounts | Reset | Outage | Numbers
"""An event without an id is one that is told again after a resumption."""


class Feed(Protocol):
    """What a subscription reads."""

    @property
    def place(self) -> str:
        """Id of the last event that was offered to all; "" while nobody knows."""

    @property
    def outage(self) -> errors.HeliographError | None:
        """Why the queue does not answer; None if it does."""

    async def snapshot(self) -> tuple[QueueCounts, Sequence[WorkerInfo]] | None:
        """How things stand, looked at after this call; None if the queue does not answer, which all are told."""

    async def page(self, after: str) -> EventPage | None:
        """What came after an event, without waiting; None if the queue does not answer, which all are told."""

    def leave(self, subscription: Subscription) -> None:
        """Offers it no more."""


class Plan(Enum):
    """What a subscription needs before it can go on with what it is offered."""

    NOTHING = auto()
    SNAPSHOT = auto()
    REPLAY = auto()
    START_OVER = auto()


class Pace:
    """Lets so many job events a second through and counts the others."""

    def __init__(self) -> None:
        self._end = 0.0
        self._passed = 0
        self._counts: Counter[EventKind] = Counter()
        self._last_id = ""

    @property
    def due_at(self) -> float | None:
        """When `summary` will have something to say; None for never."""
        return self._end if self._counts else None

    def admit(self, event: Event, now: float) -> Event | None:
        """The event, or None if it is counted instead. Beside others that are not told yet it loses its id."""
        if now >= self._end and not self._counts:
            self._end, self._passed = now + COUNTED_SECONDS, 0
        self._last_id = event.id
        if event.kind not in JOB_KINDS:
            return replace(event, id="") if self._counts else event
        if self._passed < JOB_EVENTS_A_SECOND and not self._counts:
            self._passed += 1
            return event
        self._counts[event.kind] += len(event.job_ids)
        return None

    def summary(self, now: float) -> JobCounts | None:
        """What was counted, once its second is over."""
        if not self._counts or now < self._end:
            return None
        summary = JobCounts(id=self._last_id, counts=dict(self._counts), seconds=COUNTED_SECONDS)
        self.forget()
        return summary

    def forget(self) -> None:
        """Begins anew."""
        self._end, self._passed = 0.0, 0
        self._counts.clear()


class Subscription:
    """What one reader is told; leaves the feed at the end of its context. Waits in the event loop's time."""

    def __init__(self, feed: Feed, caller: Caller, last_event_id: str) -> None:
        self._feed = feed
        self._caller = caller
        self._after = last_event_id
        self._told_until = BEGINNING
        self._plan = Plan.SNAPSHOT
        if last_event_id:
            self._plan = Plan.REPLAY if event_place(last_event_id) else Plan.START_OVER
        self._waiting: deque[Event] = deque()
        self._numbers: Numbers | None = None
        self._news = asyncio.Event()
        self._pace = Pace()
        self._is_over = False
        self._knows_of_outage = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave(self)

    def offer(self, event: Event) -> None:
        """Takes an event in, if its reader may see it; never waits."""
        if not self._may_hear(event):
            return
        if len(self._waiting) >= MAX_WAITING_EVENTS:
            self.start_over()
        else:
            self._waiting.append(event)
            self._news.set()

    @property
    def sees_all(self) -> bool:
        """Whether its reader is told of everything, numbers included."""
        return self._caller.sees_all

    def offer_numbers(self, numbers: Numbers) -> None:
        """Takes numbers in, in the place of older ones that its reader was too slow for."""
        self._numbers = numbers
        self._news.set()

    def start_over(self) -> None:
        """Lets its reader begin with a snapshot again."""
        self._numbers = None
        self._waiting.clear()
        self._pace.forget()
        self._plan = Plan.START_OVER
        self._news.set()

    def look(self) -> None:
        """Says that the feed's place or its outage has changed."""
        self._news.set()

    def end(self) -> None:
        """Lets `next` return None."""
        self._is_over = True
        self._news.set()

    async def next(self, wait_seconds: float) -> Sequence[Told] | None:
        """What its reader is to be told now; nothing if there is nothing for so long, None at the end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while not self._is_over:
            self._news.clear()
            if told := await self._due(loop.time()):
                return told
            if loop.time() >= deadline:
                return ()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(deadline, self._pace.due_at or deadline)):
                    await self._news.wait()
        return None

    def _may_hear(self, event: Event) -> bool:
        """Who does not see all hears of its own jobs alone: workers and the fleet tell of what others do."""
        return self._caller.sees_all or (event.kind in JOB_KINDS and self._caller.may_see(event.owner))

    async def _due(self, now: float) -> Sequence[Told]:
        if self._feed.outage is not None:
            return self._tell_of_outage(self._feed.outage)
        if not self._feed.place:
            return ()
        self._knows_of_outage = False
        match self._plan:
            case Plan.NOTHING:
                return [*self._take(now), *self._take_numbers()]
            case Plan.REPLAY:
                return await self._replay(now)
            case _:
                return await self._begin(is_first=self._plan is Plan.SNAPSHOT)

    def _tell_of_outage(self, outage: errors.HeliographError) -> Sequence[Told]:
        if self._knows_of_outage:
            return ()
        self._knows_of_outage = True
        self.start_over()
        return (Outage(problem=outage),)

    async def _begin(self, *, is_first: bool) -> Sequence[Told]:
        """A snapshot; what is offered from here on comes after it."""
        self._numbers = None
        self._waiting.clear()
        self._pace.forget()
        self._plan, place = Plan.NOTHING, self._feed.place
        self._told_until = event_place(place) or BEGINNING
        found = await self._feed.snapshot()
        if found is None:
            self._plan = Plan.START_OVER
            return ()
        counts, workers = found if self._caller.sees_all else (None, ())
        snapshot = Snapshot(id=place, counts=counts, workers=workers)
        return (snapshot,) if is_first else (Reset(), snapshot)

    async def _replay(self, now: float) -> Sequence[Told]:
        """The next events after the one that the reader named, until there are none."""
        page = await self._feed.page(self._after)
        if page is None or self._plan is not Plan.REPLAY:
            return ()
        if not page.is_complete:
            self.start_over()
            return ()
        self._news.set()  # there is more: the next page, or what was offered in the meantime
        self._after = page.last_id
        self._told_until = max(self._told_until, event_place(page.last_id) or BEGINNING)
        if not page.events:
            self._plan = Plan.NOTHING
        return self._admitted(filter(self._may_hear, page.events), now)

    def _take(self, now: float) -> Sequence[Told]:
        offered, self._waiting = self._waiting, deque()
        return self._admitted(
            (e for e in offered if (event_place(e.id) or BEGINNING) > self._told_until), now
        )

    def _take_numbers(self) -> Sequence[Told]:
        """The newest numbers, after all events that are there."""
        numbers, self._numbers = self._numbers, None
        return () if numbers is None else (numbers,)

    def _admitted(self, events: Iterable[Event], now: float) -> Sequence[Told]:
        summary = self._pace.summary(now)
        told: list[Told] = [] if summary is None else [summary]
        told += [admitted for event in events if (admitted := self._pace.admit(event, now))]
        return told
