"""The fleet: the workers of one deployment, and the port through which they are listed, stopped and scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from heliograph.core import errors
from heliograph.core.workers import WorkerState

MAX_WORKERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetBounds:
    """How many workers there may be; between the two the backlog decides. 0 ≤ minimum ≤ maximum ≤ `MAX_WORKERS`."""

    minimum: int
    maximum: int

    def check(self) -> None:
        """Refuses bounds that nobody can keep.

        Raises:
            ParameterInvalid: they contradict each other, or are too many.
        """
        if not 0 <= self.minimum <= self.maximum <= MAX_WORKERS:
            raise errors.ParameterInvalid(
                f"There can be no {self.minimum} to {self.maximum} workers: the smaller number comes first, "
                f"and neither is below 0 or above {MAX_WORKERS}."
            )

    def clamp(self, count: int) -> int:
        """The allowed number of workers that is nearest."""
        return min(self.maximum, max(self.minimum, count))

    def __str__(self) -> str:
        if self.minimum == self.maximum:
            return f"{self.minimum} worker{'' if self.minimum == 1 else 's'}"
        return f"{self.minimum} to {self.maximum} workers"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    """A worker as whoever runs it sees it: a process, or a pod.

    ``reason`` says why it is where it is, such as an exit status; "" for nothing to say. ``is_running`` is false where
    it is known that there is no process, such as of a pod that waits to be started again.
    """

    name: str
    state: WorkerState
    host: str
    pid: int = 0
    started_at: float = 0.0
    reason: str = ""
    is_running: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetAction:
    """Something that was done to the fleet.

    Args:
        at: seconds since the epoch.
        who: the API key's name, "" without keys; ``autoscaler`` or ``supervisor`` where nobody asked.
        what: for people, such as "scaled to 2 to 6 workers".
        command: the command that does the same.
        outcome: ``ok``, or what went wrong.
        seconds: how long it took until whoever runs the workers had taken it in; 0.0 where that was at once.
    """

    at: float
    who: str
    what: str
    command: str
    outcome: str = "ok"
    seconds: float = 0.0


class FleetLog(Protocol):
    """Remembers what was done to a fleet, for every gateway."""

    async def add(self, action: FleetAction) -> None:
        """Remembers it; of many, the oldest are forgotten.

        Raises:
            CapacityError: it cannot be stored now.
        """

    async def newest(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first; errors as `add`."""


class Fleet(Protocol):
    """Lists, stops and scales workers. One contract suite holds for every implementation."""

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be changed from here."""

    async def members(self) -> Sequence[FleetMember]:
        """The workers, by name.

        Raises:
            FleetUnavailable: whoever runs them does not answer.
        """

    async def bounds(self) -> FleetBounds | None:
        """How many workers there may be; None where nobody here decides that."""

    async def obstacle(self) -> str:
        """What keeps the number of workers from following the load, for people; "" for nothing."""

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Sets the bounds; workers come and go afterwards.

        Raises:
            FleetReadOnly: they cannot be set from here.
            ParameterInvalid: they contradict each other, or whoever runs the workers cannot keep them.
            FleetUnavailable: whoever runs the workers does not answer, or refuses.
        """

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Stops one worker, which finishes or hands back what it holds; the fleet may start another in its place.

        Raises:
            WorkerUnknown: there is none of this name.
            FleetReadOnly: it cannot be stopped from here.
            FleetUnavailable: whoever runs the workers does not answer, or does not let it go now.
        """

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first."""
