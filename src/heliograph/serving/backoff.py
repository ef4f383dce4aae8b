"""How long to wait before a queue that failed is asked again."""

from __future__ import annotations

import asyncio


class Backoff:
    """Longer and longer pauses, from ``first_seconds`` to ``longest_seconds``, until something succeeds."""

    def __init__(self, first_seconds: float = 0.1, longest_seconds: float = 2.0) -> None:
        self._first_seconds = self._seconds = first_seconds
        self._longest_seconds = longest_seconds

    async def pause(self) -> None:
        """Waits, twice as long as the last time."""
        seconds, self._seconds = self._seconds, min(self._longest_seconds, 2 * self._seconds)
        await asyncio.sleep(seconds)

    def reset(self) -> None:
        """It succeeded."""
        self._seconds = self._first_seconds
