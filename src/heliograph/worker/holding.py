"""What a worker holds of a queue, and how much of it it should hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from heliograph.core.jobs import Assignment, Delivery
from heliograph.core.ports import Clock

SMOOTHING = 0.2
"""Weight of the newest job in the average seconds a job."""


class Capacity:
    """How many jobs a worker may hold: as many as it does in ``seconds``, so that nobody waits longer behind them.

    ``low`` keeps its engines busy whatever a job takes; ``high`` bounds what one crash returns.
    """

    def __init__(self, *, seconds: float, low: int, high: int) -> None:
        self._seconds = seconds
        self._low = low
        self._high = max(low, high)
        self._seconds_per_job: float | None = None

    @property
    def jobs(self) -> int:
        """How many to hold at most."""
        if not self._seconds_per_job:
            return self._low
        return max(self._low, min(self._high, int(self._seconds / self._seconds_per_job)))

    def note(self, seconds: float, together: int) -> None:
        """Takes note of a job that took so long while so many were held."""
        newest = seconds / max(1, together)
        if self._seconds_per_job is None:
            self._seconds_per_job = newest
        else:
            self._seconds_per_job += SMOOTHING * (newest - self._seconds_per_job)


class Holding:
    """The jobs in hand, put aside or begun, from when they are read until their last word is stored.

    ``on_change`` is called when there are more or fewer.
    """

    def __init__(self, clock: Clock, on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._aside: dict[str, Delivery] = {}
        self._begun: dict[str, tuple[Assignment, asyncio.Task[None], float]] = {}
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._aside) + len(self._begun)

    @property
    def begun(self) -> Sequence[Assignment]:
        """Those that are begun."""
        return [assignment for assignment, _, _ in self._begun.values()]

    @property
    def aside(self) -> Sequence[Delivery]:
        """Those that were put aside, the first first."""
        return list(self._aside.values())

    def __iter__(self) -> Iterator[Delivery | Assignment]:
        """All of them, for their leases to be renewed."""
        return iter([*self.aside, *self.begun])

    def __contains__(self, one: Delivery | Assignment) -> bool:
        """Whether a job is in hand still."""
        return one.job_id in self._aside if isinstance(one, Delivery) else one.token in self._begun

    def put_aside(self, deliveries: Sequence[Delivery]) -> None:
        """Keeps jobs for later."""
        self._aside |= {one.job_id: one for one in deliveries}
        self._on_change()

    def begin(self, assignment: Assignment, task: asyncio.Task[None]) -> None:
        """A task does this job from now on."""
        self._aside.pop(assignment.delivery.job_id, None)
        self._begun[assignment.token] = (assignment, task, self._clock())
        self._on_change()

    def seconds_of(self, assignment: Assignment) -> float | None:
        """How long a begun job has been in hand; None for one that is not."""
        if assignment.token not in self._begun:
            return None
        return self._clock() - self._begun[assignment.token][2]

    def drop(self, *held: Delivery | Assignment) -> None:
        """Lets go of jobs; what still does them is cancelled."""
        for one in held:
            if isinstance(one, Delivery):
                self._aside.pop(one.job_id, None)
            elif one.token in self._begun:
                _, task, _ = self._begun.pop(one.token)
                if task is not asyncio.current_task():
                    task.cancel()
        self.wake()
        self._on_change()

    def wake(self) -> None:
        """Ends all `fewer`."""
        self._news.set()
        self._news = asyncio.Event()

    async def fewer(self, seconds: float) -> None:
        """Returns once something was let go of, or the time is over."""
        news = self._news
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await news.wait()
