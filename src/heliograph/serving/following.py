"""Keeps what is served in step with the packages in the store, while the process runs.

The store is looked at twice a second: a listing and a ``stat`` of each file of a package. That needs no word
from whoever adds or removes a package, on this machine or through a shared volume, and no notification that some file
systems do not send. A package comes into the store whole, by one rename, so none is seen half made; one that is
copied by other means is taken again as its files come. A model that could not be loaded is loaded anew once
there are other files where its weights would be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from heliograph.core import errors
from heliograph.core.models import ModelSpec
from heliograph.core.ports import ModelStore

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class Followed(Protocol):
    """A table whose models come and go."""

    @property
    def lacking(self) -> Sequence[str]:
        """The models that could not be loaded."""
        ...

    async def take(self, reference: str, spec: ModelSpec) -> None:
        """A package is new, or another one."""
        ...

    async def leave(self, reference: str) -> None:
        """A package is gone."""
        ...


class StoreFollower:
    """Tells a table what comes into the store and what leaves it.

    Args:
        store: where packages are.
        table: what is told.
        known: what was in the store when the table was made, as `ModelStore.own` says it.
        named: models that are served even if they are not in the store itself.
        weights: what weights files there were for each model when the table was made, as `ModelStore.mark` says it.
        takes_all: whether packages that come into the store are served; else only weights are looked for.
    """

    def __init__(
        self,
        store: ModelStore,
        table: Followed,
        *,
        known: Mapping[str, str],
        named: Collection[str] = (),
        weights: Mapping[str, str] | None = None,
        takes_all: bool = True,
    ) -> None:
        self._store = store
        self._table = table
        self._known = dict(known)
        self._named = frozenset(named)
        self._weights = dict(weights or {})
        self._takes_all = takes_all
        self._missed: set[str] = set()
        self._fails = False

    async def follow(self, until_settled: Callable[[], bool] = lambda: True) -> None:
        """Looks until it is cancelled; begins once ``until_settled`` holds. Never raises anything of its own."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not until_settled():
                continue
            try:
                if self._takes_all:
                    await self.look(await asyncio.to_thread(self._store.own))
                await self.look_for_weights()
                self._fails = False
            except Exception:  # a shared volume that does not answer, say: what is served goes on
                log.log(
                    logging.DEBUG if self._fails else logging.ERROR,
                    "the store could not be looked at",
                    exc_info=True,
                )
                self._fails = True

    async def look(self, seen: Mapping[str, str]) -> None:
        """Compares what is in the store with what was there, and tells the table.

        What is missing is gone when it is missing twice: a package that is replaced is away for a moment.
        """
        for name, mark in seen.items():
            if self._known.get(name) != mark:
                self._known[name] = mark
                await self._take(name)
        missing = set(self._known) - set(seen)
        for name in missing & self._missed:
            del self._known[name]
            if name in self._named and await self._take(name):  # the one that comes with Heliograph
                continue
            await self._table.leave(name)
        self._missed = missing - self._missed

    async def look_for_weights(self) -> None:
        """Has the table load anew what it lacks, once for each change of the files that there are."""
        for name in self._table.lacking:
            try:
                mark = await asyncio.to_thread(self._store.mark, name)
            except errors.ModelError:  # the package is away for a moment, or for good
                continue
            if self._weights.get(name) != mark:
                await self._take(name)

    async def _take(self, name: str) -> bool:
        """Whether there was a package to take."""
        try:
            self._weights[name] = await asyncio.to_thread(self._store.mark, name)
            spec = await asyncio.to_thread(self._store.spec, name)
        except errors.ModelError as error:
            log.warning("model package left out: %s", error.message)
            return False
        await self._table.take(name, spec)
        return True
