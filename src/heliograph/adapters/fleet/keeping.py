"""Keeping a child running: another one is started when it dies, and later each time if they die young."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from heliograph.adapters.fleet.children import Child
from heliograph.core import errors

log = logging.getLogger(__name__)

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
GROWN_UP_SECONDS = 30.0
"""A child that ran for so long did not die young."""

Launch: TypeAlias = Callable[[], Awaitable[Child]]
"""Starts a child. Whatever it raises is a death: another one is tried later."""


class Backoff:
    """How long to wait before the next one is started."""

    def __init__(self) -> None:
        self._next_seconds = FIRST_SECONDS

    def after(self, ran_seconds: float) -> float:
        """Half a second at first, then twice as long each time; from the beginning after one that lived."""
        if ran_seconds >= GROWN_UP_SECONDS:
            self._next_seconds = FIRST_SECONDS
        seconds = self._next_seconds
        self._next_seconds = min(LONGEST_SECONDS, 2 * seconds)
        return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A child that ended though nobody asked it to, or could not be started: then ``child`` is None.

    ``next_seconds`` is how long it takes until another one is started.
    """

    child: Child | None
    reason: str
    next_seconds: float


class Keeper:
    """Keeps one child running from `start` to `close`, and tells of each death."""

    def __init__(self, launch: Launch, on_death: Callable[[Death], None]) -> None:
        self._launch = launch
        self._on_death = on_death
        self._backoff = Backoff()
        self._let_go = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self.child: Child | None = None
        """The one that runs; None between two of them."""

    def start(self) -> None:
        """Launches the first one soon."""
        self._task = asyncio.create_task(self._keep())

    def replace(self) -> Child | None:
        """Launches another one at once; the one that ran is the caller's to stop. None, and no change, if none runs."""
        child, self.child = self.child, None
        if child is not None:
            self._let_go.set()
        return child

    def close(self) -> Child | None:
        """Launches none any more. The one that runs, if any, is the caller's to stop."""
        child, self.child = self.child, None
        self._closed = True
        self._let_go.set()
        return child

    async def closed(self) -> Child | None:
        """Waits for the end of a launch that was under way; what it started, if anything, is the caller's to stop."""
        if self._task is not None:
            await self._task
        return self.close()

    async def stop(self, grace_seconds: float) -> None:
        """Launches none any more, and stops the one that runs."""
        for child in (self.close(), await self.closed()):
            if child is not None:
                await child.stop(grace_seconds)

    async def _keep(self) -> None:
        while not self._closed:
            self._let_go.clear()
            death = await self._one_life()
            if death is not None:
                self._on_death(death)
                with suppress(TimeoutError):
                    async with asyncio.timeout(death.next_seconds):
                        await self._let_go.wait()

    async def _one_life(self) -> Death | None:
        """Launches one and waits; None if it was let go while it ran."""
        try:
            child = self.child = await self._launch()
        except Exception as error:
            if not isinstance(error, OSError | errors.HeliographError):
                log.exception("a child cannot be launched")
            reason = errors.excerpt(error) or type(error).__name__
            return Death(child=None, reason=reason, next_seconds=self._backoff.after(0.0))
        if await self._dies(child):
            ending = await child.wait()
            self.child = None
            next_seconds = self._backoff.after(ending.ran_seconds)
            return Death(child=child, reason=str(ending), next_seconds=next_seconds)
        return None

    async def _dies(self, child: Child) -> bool:
        """Whether it ends before it is let go."""
        let_go = asyncio.ensure_future(self._let_go.wait())
        ending = asyncio.ensure_future(child.wait())
        try:
            await asyncio.wait({let_go, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            let_go.cancel()
            ending.cancel()
            await asyncio.gather(let_go, ending, return_exceptions=True)
        return not self._let_go.is_set()
