"""The workers that a queue in memory has heard of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heliograph.adapters.queue.memory_events import EventLog
from heliograph.core.events import Event, EventKind
from heliograph.core.ports import Clock
from heliograph.core.workers import (
    HEARTBEAT_FORGOTTEN_SECONDS,
    HEARTBEAT_LOST_SECONDS,
    WorkerInfo,
    WorkerState,
)


class Heartbeats:
    """What each worker said last, and which of them were told to be lost."""

    def __init__(self, clock: Clock, events: EventLog) -> None:
        self._clock = clock
        self._events = events
        self._said: dict[str, WorkerInfo] = {}
        self._lost: set[str] = set()

    def beat(self, info: WorkerInfo) -> None:
        """Takes note of a worker; tells of it when it is new, and when its state is another."""
        before = None if info.name in self._lost else self._said.get(info.name)
        self._said[info.name] = replace(info, seen_at=self._clock())
        self._lost.discard(info.name)
        if before is None:
            self._tell(EventKind.WORKER_UP, info.name, info.state)
        elif before.state is not info.state:
            self._tell(EventKind.WORKER_CHANGED, info.name, info.state)

    def forget(self, name: str) -> None:
        """Tells that a worker is gone, if it was heard of."""
        self._lost.discard(name)
        if self._said.pop(name, None):
            self._tell(EventKind.WORKER_DOWN, name, WorkerState.GONE)

    def expire(self) -> None:
        """Tells of workers that have fallen silent, and forgets them later."""
        for name in [name for name in self._said if self._silence(name) >= HEARTBEAT_LOST_SECONDS]:
            if name not in self._lost:
                self._lost.add(name)
                self._tell(EventKind.WORKER_LOST, name, WorkerState.GONE)
            if self._silence(name) >= HEARTBEAT_FORGOTTEN_SECONDS:
                self._lost.discard(name)
                del self._said[name]

    def listed(self) -> Sequence[WorkerInfo]:
        """The workers, by name."""
        workers = (self._said[name] for name in sorted(self._said))
        return [
            replace(worker, state=WorkerState.GONE)
            if self._silence(worker.name) >= HEARTBEAT_LOST_SECONDS
            else worker
            for worker in workers
        ]

    def _silence(self, name: str) -> float:
        return self._clock() - self._said[name].seen_at

    def _tell(self, kind: EventKind, name: str, state: WorkerState) -> None:
        self._events.add(Event(id="", at=0.0, kind=kind, worker=name, detail=state.value))
