"""What happened in a queue in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from heliograph.adapters.queue.places import BEGINNING, EventPlace, event_id, event_place
from heliograph.core.events import Event, EventKind, EventPage
from heliograph.core.ports import Clock

MAX_EVENTS = 10_000


class EventLog:
    """The newest events. What one call does to the jobs of a group is noted first, and told together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: deque[tuple[EventPlace, Event]] = deque(maxlen=MAX_EVENTS)
        self._last = BEGINNING
        self._added = 0
        self._noted: dict[tuple[EventKind, str], tuple[Event, list[str]]] = {}

    def add(self, event: Event) -> None:
        """Adds an event, which gets its id and time here. Ids grow even if the clock does not."""
        at = self._clock()
        milliseconds, number = self._last
        now = int(1000 * at)
        self._last = (now, 0) if now > milliseconds else (milliseconds, number + 1)
        self._added += 1
        self._events.append((self._last, replace(event, id=event_id(self._last), at=at)))

    def note(self, event: Event, job_id: str) -> None:
        """Notes what happens to a job, to be told with others of its group."""
        self._noted.setdefault((event.kind, event.group), (event, []))[1].append(job_id)

    def add_notes(self) -> bool:
        """Adds what was noted; whether there was anything."""
        noted, self._noted = self._noted, {}
        for event, job_ids in noted.values():
            self.add(replace(event, job_ids=tuple(job_ids)))
        return bool(noted)

    def page(self, after: str, limit: int) -> EventPage:
        """Up to so many events after the one with this id, or from now on for ""."""
        place = event_place(after)
        newer = None if place is None else self._newer(place)
        if place is None or newer is None:
            return EventPage(events=(), last_id=event_id(self._last), is_complete=not after)
        events = tuple(newer[:limit])
        return EventPage(events=events, last_id=events[-1].id if events else event_id(place))

    def _newer(self, place: EventPlace) -> Sequence[Event] | None:
        """What followed a place; None if some of it may be gone."""
        newer = [event for _, event in takewhile(lambda one: one[0] > place, reversed(self._events))]
        older = len(self._events) - len(newer)
        if place == BEGINNING:
            is_known = self._added == len(self._events)
        else:
            is_known = older > 0 and self._events[older - 1][0] == place
        return newer[::-1] if is_known else None
