"""How fast a queue empties, and so when one that is full will have room."""

from __future__ import annotations

from heliograph.core.ports import Clock

WINDOW_SECONDS = 10.0
STALE_SECONDS = 60.0
"""A longer window is mostly of a time when there was nothing to do."""
UNKNOWN_SECONDS = 5.0
"""What is said while nothing is known yet."""
MIN_SECONDS = 1.0
MAX_SECONDS = 60.0
"""Nobody should wait longer before asking again: rates change."""


class DrainRate:
    """Jobs settled a second, from totals that are seen now and then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: tuple[float, int] | None = None
        self._rate: float | None = None

    def observe(self, settled: int) -> None:
        """Takes note of how many jobs were settled so far."""
        now = self._clock()
        if self._since is None:
            self._since = (now, settled)
            return
        begun, before = self._since
        seconds = now - begun
        if seconds >= WINDOW_SECONDS:
            self._rate = max(0, settled - before) / seconds if seconds <= STALE_SECONDS else None
            self._since = (now, settled)

    def seconds_until(self, jobs: float) -> float:
        """How long it takes until so many jobs are gone, between 1 s and a minute."""
        if self._rate is None:
            return UNKNOWN_SECONDS
        if self._rate == 0.0:
            return MAX_SECONDS
        return min(MAX_SECONDS, max(MIN_SECONDS, jobs / self._rate))
