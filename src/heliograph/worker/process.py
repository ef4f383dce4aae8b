"""A worker from its start to its leave: models, heartbeat, operations port, consumer, in the right order.

Stopping goes from the outside in: no more jobs, then what is in hand, then the worker's name, the port last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from heliograph.core.workers import WorkerState
from heliograph.serving.served import ServedModels
from heliograph.worker.consumer import Consumer
from heliograph.worker.heartbeat import Heart
from heliograph.worker.operations import Page, Pages

log = logging.getLogger("heliograph.worker")

LOOK_SECONDS = 0.5
"""Between two looks for a first model, where there is none."""


class Worker:
    """One worker of a queue."""

    def __init__(self, name: str, models: ServedModels, consumer: Consumer, heart: Heart) -> None:
        self.name = name
        self._models = models
        self._consumer = consumer
        self._heart = heart

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set and all that was in hand has its place."""
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(self._heart.beat())
            watching = tasks.create_task(self._note_stop(stop))
            if await self._can_begin(stop):
                await self._consumer.run(stop)
            beating.cancel()
            watching.cancel()
        await self._consumer.leave()
        log.info("worker left", extra={"worker": self.name, "finished": self._consumer.finished})

    async def _can_begin(self, stop: asyncio.Event) -> bool:
        """Waits until the models are loaded and one of them is ready; False if it is stopped before."""
        settled = asyncio.ensure_future(self._models.wait_until_settled())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({settled, stopping}, return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        self._heart.is_starting = False
        self._heart.note_change()
        if not stop.is_set() and not self._models.ready:
            log.error("no model can be served: taking no jobs until one comes", extra={"worker": self.name})
        while not stop.is_set() and not self._models.ready:
            await asyncio.wait({stopping}, timeout=LOOK_SECONDS)
        stopping.cancel()
        return not stop.is_set()

    async def _note_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._heart.is_stopping = True
        self._heart.note_change()

    def pages(self, metrics: Callable[[], tuple[bytes, str]]) -> Pages:
        """What its operations port answers."""

        def exposition() -> Page:
            body, content_type = metrics()
            return Page(status=200, body=body, content_type=content_type)

        return {
            "/livez": lambda: Page.probe("ok", {}),
            "/startupz": lambda: Page.probe("ok" if self._models.settled else "starting", self._states()),
            "/readyz": lambda: Page.probe(self._readiness(), self._states()),
            "/metrics": exposition,
        }

    def _readiness(self) -> str:
        if self._heart.state is WorkerState.STOPPING:
            return "stopping"
        if not self._models.settled:
            return "starting"
        if not self._models.ready:
            return "no-model"
        return "ok" if self._consumer.is_connected else "queue-unavailable"

    def _states(self) -> dict[str, str]:
        return {model.reference: model.state.value for model in self._models}
