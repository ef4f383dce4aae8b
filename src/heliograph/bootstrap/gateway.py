"""``heliograph gateway``: HTTP over a queue; no engine is loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from heliograph.adapters.metrics.prometheus import PrometheusMetrics
from heliograph.api.services import Services
from heliograph.bootstrap.fleets import gateway_fleet
from heliograph.bootstrap.http import QueueUse, answer, build_services
from heliograph.bootstrap.parts import (
    background,
    build_codec,
    build_store,
    clock,
    count_threads,
    default_models,
    follow_store,
    run_until_stopped,
    served_names,
)
from heliograph.bootstrap.queues import Queue, server_queue
from heliograph.bootstrap.sockets import open_doors
from heliograph.core.jobs import new_id
from heliograph.serving.access import KeyRing
from heliograph.serving.fleet import FleetView
from heliograph.serving.model_table import ServedModel
from heliograph.serving.queued import QueuePredictor
from heliograph.serving.remote_models import RemoteModels
from heliograph.serving.replies import Replies
from heliograph.serving.threads import WorkerThreads
from heliograph.serving.upkeep import QueueView, expire, sweep
from heliograph.settings import Settings


def run_gateway(settings: Settings, announce: Callable[[str], None]) -> None:
    """Answers until SIGTERM or Ctrl-C; ``announce`` is told the address once it listens.

    Raises:
        SettingsInvalid: the settings do not allow it, or the queue's server does not.
        ModelUnknown: a model in the settings is not known.
    """

    async def main(stop: asyncio.Event) -> None:
        doors = open_doors(settings)
        async with (
            server_queue(settings, is_gateway=True) as queue,
            gateway(settings, doors.keys, queue) as services,
        ):
            await answer(doors, services, settings, stop=stop, announce=announce)

    run_until_stopped(main, settings)


@asynccontextmanager
async def gateway(settings: Settings, keys: KeyRing, queue: Queue) -> AsyncIterator[Services]:
    """What handlers need, with all that goes on beside them."""
    store = build_store(settings)
    served = served_names(settings, store)
    models = RemoteModels(
        [ServedModel(name, store.spec(name)) for name in served.names],
        default_models(settings, store, served.names),
    )
    metrics, imaging = PrometheusMetrics(), build_codec(settings)
    view = QueueView(queue.desk, metrics, models.observe)
    replies = Replies(queue.desk, f"{settings.worker_name}-{new_id()[:8]}")
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(WorkerThreads(count_threads(settings), name="inspect"))
        fleet = await stack.enter_async_context(gateway_fleet(settings, queue))
        predictor = QueuePredictor(
            models,
            desk=queue.desk,
            replies=replies,
            imaging=imaging,
            threads=threads,
            timeout_seconds=settings.request_timeout_seconds,
            clock=clock,
        )
        use = QueueUse(
            desk=queue.desk,
            imaging=imaging,
            threads=threads,
            view=view,
            fleet=FleetView(fleet, queue.desk),
            durable=queue.is_durable,
        )
        beside = [view.watch(), replies.listen(), expire(queue.desk)]
        if served.follows:
            beside.append(follow_store(store, models, served))
        if queue.sweep is not None:
            beside.append(sweep(queue.sweep))
        await stack.enter_async_context(background(*beside))
        yield build_services(settings, keys, predictor=predictor, models=models, metrics=metrics, queue=use)
        await predictor.close()
