"""``heliograph serve``: HTTP, batcher, engines, and jobs in memory, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from heliograph.bootstrap.parts import background, clock, run_until_stopped
from heliograph.bootstrap.predicting import Predicting, predicting
from heliograph.bootstrap.sockets import open_doors
from heliograph.serving.access import KeyRing
from heliograph.serving.predict import LocalPredictor
from heliograph.serving.upkeep import QueueView, expire
from heliograph.settings import Settings

if TYPE_CHECKING:
    from heliograph.api.services import Services


def run_serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C; ``announce`` is told the address once it listens.

    Raises:
        SettingsInvalid: the settings do not allow it.
        ModelUnknown: a model in the settings is not known.
    """

    async def main(stop: asyncio.Event) -> None:
        doors = open_doors(settings)
        async with predicting(settings) as parts:
            await asyncio.sleep(0)  # the first model loads in its thread from here on, beside these imports
            from heliograph.bootstrap.http import answer

            async with serving(settings, doors.keys, parts) as services:
                await answer(doors, services, settings, stop=stop, announce=announce)

    run_until_stopped(main, settings)


@asynccontextmanager
async def serving(settings: Settings, keys: KeyRing, parts: Predicting) -> AsyncIterator[Services]:
    """What handlers need, with a worker for the jobs in memory running beside them where jobs are taken.

    Jobs go on while HTTP drains, and stop with it: what is left in memory then is lost, as ``durable`` says.
    """
    from heliograph.bootstrap.http import QueueUse, build_services

    predictor = LocalPredictor(parts.models, timeout_seconds=settings.request_timeout_seconds, clock=clock)
    if not settings.jobs:
        yield build_services(
            settings, keys, predictor=predictor, models=parts.models, metrics=parts.metrics, queue=None
        )
        return
    from heliograph.bootstrap.consuming import build_worker  # pods of `mode: direct` start sooner without
    from heliograph.bootstrap.queues import memory_queue

    queue = memory_queue(settings)
    view = QueueView(queue.desk, parts.metrics)
    worker = build_worker(settings, parts, queue, settings.worker_name)
    use = QueueUse(
        desk=queue.desk,
        imaging=parts.workshop.imaging,
        threads=parts.workshop.threads,
        view=view,
        fleet=None,
        durable=False,
    )
    services = build_services(
        settings, keys, predictor=predictor, models=parts.models, metrics=parts.metrics, queue=use
    )
    ended, left = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await worker.run(ended)
        left.set()

    async with background(expire(queue.desk), work()):
        yield services
        ended.set()
        await left.wait()
