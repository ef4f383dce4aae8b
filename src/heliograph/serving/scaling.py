"""How many workers there should be: between the bounds the backlog decides. Up at once, down late."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from heliograph.core import errors
from heliograph.core.events import EventKind
from heliograph.core.fleet import MAX_WORKERS, FleetAction, FleetBounds
from heliograph.core.ports import Clock
from heliograph.core.queue import JobDesk

log = logging.getLogger(__name__)

JOBS_PER_WORKER = 10
"""Open jobs for which one worker is enough."""
PATIENCE_SECONDS = 30.0
"""How long less must have been enough before workers are stopped: a new one has to load its models first."""
LOOK_SECONDS = 1.0
"""How often the backlog is looked at; so also the time between two steps upward."""


class Autoscaler:
    """Says how many workers there should be.

    As many as have ``jobs_per_worker`` open jobs each, between the bounds. More are wanted at once, though never
    more than twice as many as there are; fewer only after ``patience_seconds`` in which fewer were enough. There is
    none only while no job waits or runs.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        jobs_per_worker: int = JOBS_PER_WORKER,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._clock = clock
        self._jobs_per_worker = jobs_per_worker
        self._patience_seconds = patience_seconds
        self._needs: deque[tuple[float, int]] = deque()
        """When how many were needed; each later one is less, so that the first is the most within our patience."""
        self.forget()

    def forget(self) -> None:
        """The time until now is unknown; perhaps all were needed."""
        self._needs.clear()
        self._needs.append((self._clock(), MAX_WORKERS))

    def wanted(self, *, present: int, bounds: FleetBounds, open_jobs: int) -> int:
        """How many there should be, given how many there are and how many jobs wait or run."""
        now = self._clock()
        need = math.ceil(open_jobs / self._jobs_per_worker)
        while self._needs and self._needs[-1][1] <= need:
            self._needs.pop()
        self._needs.append((now, need))
        while self._needs[0][0] < now - self._patience_seconds:
            self._needs.popleft()
        if need > present:
            return bounds.clamp(min(need, max(present + 1, 2 * present)))
        return bounds.clamp(min(present, self._needs[0][1]))


class ScalableFleet(Protocol):
    """A fleet whose size somebody has to decide."""

    @property
    def size(self) -> int:
        """How many workers it keeps up."""

    async def bounds(self) -> FleetBounds | None:
        """Between which numbers."""

    def resize(self, count: int, *, why: str) -> FleetAction | None:
        """Keeps up so many from now on; None if it does so already or may not."""


async def autoscale(
    fleet: ScalableFleet,
    desk: JobDesk,
    rule: Autoscaler,
    *,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Keeps a fleet at the size that the rule wants, until it is cancelled. Without the queue all stays as it is."""
    while True:
        try:
            await _look(fleet, desk, rule)
        except errors.CapacityError as error:
            rule.forget()
            log.debug("the backlog is unknown", extra={"reason": error.message})
        await pause(LOOK_SECONDS)


async def _look(fleet: ScalableFleet, desk: JobDesk, rule: Autoscaler) -> None:
    bounds = await fleet.bounds()
    if bounds is None:
        return
    backlog = (await desk.counts()).backlog.values()
    open_jobs = sum(one.waiting + one.running for one in backlog)
    wanted = rule.wanted(present=fleet.size, bounds=bounds, open_jobs=open_jobs)
    action = fleet.resize(wanted, why=f"{open_jobs} open job{'' if open_jobs == 1 else 's'}")
    if action is not None:
        await desk.tell(EventKind.FLEET, detail=action.what)
