"""`Mirror`: objects of a cluster as they are now, without asking for them each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from heliograph.adapters.fleet.api_server import FAILURES, reason_of

log = logging.getLogger(__name__)

LIST_SECONDS = 10.0
"""How long the list of all objects may take."""
SILENT_SECONDS = 10.0
"""A watch that says nothing for so long may be half dead: the objects are listed again."""
STEADY_SECONDS = 2.0
"""A watch that lives for so long works."""
LEAST_SECONDS = 1.0
"""From one list to the next."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 8.0
STALE_SECONDS = 10.0
"""How long what is known stays good when nothing more is heard."""

Item = TypeVar("Item")
Seen_co = TypeVar("Seen_co", covariant=True)


class Source(Protocol[Seen_co]):
    """Where the objects are; see `heliograph.adapters.fleet.api_server.Selection`."""

    async def list(self) -> tuple[Mapping[str, Seen_co], str]:
        """All objects by name, and their version."""

    def changes(self, version: str) -> AsyncGenerator[tuple[str, str, Seen_co], None]:
        """What happens after that version: the event, the object's name, the object."""


class Mirror(Generic[Item]):
    """Follows the objects of a source while `run` runs, through whatever happens to the server.

    Args:
        source: lists them and tells of changes.
        what: they are, in the plural, for the log.
        on_removed: hears of each one that is not there any more.
    """

    def __init__(self, source: Source[Item], what: str, on_removed: Callable[[str, Item], None]) -> None:
        self._source = source
        self._what = what
        self._on_removed = on_removed
        self._objects: dict[str, Item] = {}
        self._was_listed = False
        self._stale_since: float | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self.failure: Exception | None = None
        """What keeps it from following; None while it does."""

    @property
    def objects(self) -> Mapping[str, Item]:
        """The objects by name, as they were when it last heard of them."""
        return self._objects

    def outage(self) -> str:
        """Why what is known is too old to be believed; "" while it is good."""
        is_stale = self._stale_since is not None and _now() - self._stale_since > STALE_SECONDS
        if self._was_listed and not is_stale:
            return ""
        return "it has not answered yet" if self.failure is None else reason_of(self.failure)

    def put(self, name: str, item: Item) -> None:
        """Shows an object that the caller has just changed as it is now, before the server tells."""
        self._objects[name] = item

    async def run(self) -> None:
        """Follows the objects until it is cancelled."""
        while True:
            began = _now()
            try:
                await self._follow()
                pause_seconds = began + LEAST_SECONDS - _now()
            except Exception as error:
                pause_seconds = self._failed(error)
            await asyncio.sleep(max(0.0, pause_seconds))

    async def _follow(self) -> None:
        """Lists the objects, then takes what changes; returns when it is time to list them again."""
        self._doubt()
        async with asyncio.timeout(LIST_SECONDS):
            found, version = await self._source.list()
        self._replace(found)
        self._stale_since = None
        steady = asyncio.get_running_loop().call_later(STEADY_SECONDS, self._works)
        try:
            async with aclosing(self._source.changes(version)) as changes:
                while (change := await _next(changes)) is not None:
                    self._works()
                    self._take(*change)
        finally:
            steady.cancel()

    def _replace(self, found: Mapping[str, Item]) -> None:
        before, self._objects = self._objects, dict(found)
        self._was_listed = True
        for name in before.keys() - found.keys():
            self._on_removed(name, before[name])

    def _take(self, event: str, name: str, item: Item) -> None:
        if event == "DELETED":
            self._objects.pop(name, None)
            self._on_removed(name, item)
        else:
            self._objects[name] = item

    def _doubt(self) -> None:
        if self._stale_since is None:
            self._stale_since = _now()

    def _failed(self, error: Exception) -> float:
        """Notes a failure, and how long to wait then."""
        self._doubt()
        if self.failure is None:
            unknown = None if isinstance(error, FAILURES) else error
            log.warning(
                "the cluster's %s cannot be followed: %s", self._what, reason_of(error), exc_info=unknown
            )
        self.failure = error
        pause_seconds = self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * pause_seconds)
        return pause_seconds

    def _works(self) -> None:
        if self.failure is not None:
            log.info("the cluster's %s are followed again", self._what)
        self.failure = None
        self._pause_seconds = FIRST_PAUSE_SECONDS


async def _next(
    changes: AsyncGenerator[tuple[str, str, Item], None],
) -> tuple[str, str, Item] | None:
    """The next change; None if there is none for too long, or ever."""
    try:
        async with asyncio.timeout(SILENT_SECONDS):
            return await anext(changes, None)
    except TimeoutError:
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
