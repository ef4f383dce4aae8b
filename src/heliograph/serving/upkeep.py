"""What has to be done about a queue now and then, by every process that has its desk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from heliograph.core import errors
from heliograph.core.jobs import QueueCounts
from heliograph.core.ports import Metrics
from heliograph.core.queue import JobDesk
from heliograph.core.workers import WorkerInfo

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
EXPIRE_SECONDS = 2.0
SWEEP_SECONDS = 60.0
EXPIRE_AT_ONCE = 200
SCRAPE_SECONDS = 1.5

OnWorkers: TypeAlias = Callable[[Sequence[WorkerInfo]], None]
Sweep: TypeAlias = Callable[[], Awaitable[int]]


class QueueView:
    """The queue as this process sees it: its numbers for metrics, its workers for whoever wants to know.

    ``on_workers`` hears of the workers about every second.
    """

    def __init__(self, desk: JobDesk, metrics: Metrics, on_workers: OnWorkers | None = None) -> None:
        self._desk = desk
        self._metrics = metrics
        self._on_workers = on_workers
        self.workers: Sequence[WorkerInfo] = ()

    async def refresh(self) -> None:
        """Looks at the queue for the metrics. Costs the same however long the queue is; never raises."""
        counts: QueueCounts | None
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                counts = await self._desk.counts()
                await self._look()
        except (TimeoutError, errors.CapacityError):
            counts = None
        self._metrics.queue_seen(counts, self.workers)

    async def watch(self) -> None:
        """Looks at the workers until it is cancelled, through failures of the queue."""
        while self._on_workers is not None:
            try:
                await self._look()
            except errors.CapacityError as error:
                log.debug("workers cannot be seen", extra={"reason": error.message})
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        self.workers = await self._desk.workers()
        if self._on_workers is not None:
            self._on_workers(self.workers)


async def expire(desk: JobDesk) -> None:
    """Removes what is over, until it is cancelled, through failures of the queue."""
    while True:
        try:
            while await desk.expire(limit=EXPIRE_AT_ONCE) >= EXPIRE_AT_ONCE:
                pass
        except errors.CapacityError as error:
            log.debug("nothing can expire", extra={"reason": error.message})
        await asyncio.sleep(EXPIRE_SECONDS)


async def sweep(clear_up: Sweep) -> None:
    """Clears up after processes that died, until it is cancelled."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            removed = await clear_up()
        except errors.CapacityError as error:
            log.warning("cannot clear up", extra={"reason": error.message})
        else:
            if removed:
                log.info("cleared up", extra={"blobs": removed})
