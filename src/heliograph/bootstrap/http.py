"""The HTTP side of a process: what handlers need, and the servers on their sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from heliograph import __version__
from heliograph.api.access import LOOPBACK_HOSTS
from heliograph.api.app import create_app, create_operations_app
from heliograph.api.page import page_routes
from heliograph.api.server import HttpServer, ServerRules, serve_until
from heliograph.api.services import Services
from heliograph.api.uploads import UploadLimits
from heliograph.bootstrap.parts import clock
from heliograph.bootstrap.sockets import Doors, address_of
from heliograph.console import STATIC_FOLDER
from heliograph.core.ports import Imaging, Metrics
from heliograph.core.queue import JobDesk
from heliograph.serving.access import KeyRing
from heliograph.serving.admission import Admission
from heliograph.serving.events import EventFeed
from heliograph.serving.fleet import FleetView
from heliograph.serving.jobs import Jobs
from heliograph.serving.model_table import ModelTable
from heliograph.serving.predict import Predictor
from heliograph.serving.threads import WorkerThreads
from heliograph.serving.upkeep import QueueView
from heliograph.settings import Settings

FINISH_MARGIN_SECONDS = 5.0
"""What a stop waits for after the longest request."""


def finish_seconds(settings: Settings) -> float:
    """How long a server that stops finishes what it has taken: an upload, and the work that it asks for."""
    return settings.upload_timeout_seconds + settings.request_timeout_seconds + FINISH_MARGIN_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUse:
    """What HTTP needs of a queue; ``fleet`` is None where there are no workers beside this process."""

    desk: JobDesk
    imaging: Imaging
    threads: WorkerThreads
    view: QueueView
    fleet: FleetView | None
    durable: bool


def build_services(
    settings: Settings,
    keys: KeyRing,
    *,
    predictor: Predictor,
    models: ModelTable,
    metrics: Metrics,
    queue: QueueUse | None,
) -> Services:
    """What handlers need."""
    guarded_by_host = settings.on_loopback and not keys
    return Services(
        version=__version__,
        worker=settings.worker_name,
        predictor=predictor,
        models=models,
        admission=Admission(
            max_in_flight=settings.max_in_flight, max_body_bytes=settings.max_upload_bytes, clock=clock
        ),
        keys=keys,
        metrics=metrics,
        upload_limits=_upload_limits(settings, settings.max_request_pictures),
        job_upload_limits=_upload_limits(settings, settings.max_job_pictures),
        allowed_hosts=(*LOOPBACK_HOSTS, *settings.allowed_hosts) if guarded_by_host else None,
        jobs=Jobs(queue.desk, queue.imaging, queue.threads, durable=queue.durable) if queue else None,
        events=EventFeed(queue.desk, max_streams=settings.max_event_streams) if queue else None,
        fleet=queue.fleet if queue else None,
        queue_view=queue.view if queue else None,
    )


def _upload_limits(settings: Settings, pictures: int) -> UploadLimits:
    return UploadLimits(
        max_bytes=settings.max_request_bytes,
        max_pictures=pictures,
        timeout_seconds=settings.upload_timeout_seconds,
    )


async def answer(
    doors: Doors,
    services: Services,
    settings: Settings,
    *,
    stop: asyncio.Event,
    announce: Callable[[str], None],
) -> None:
    """Answers requests until ``stop`` is set and everything taken is answered; ``announce`` is told the address."""
    rules = ServerRules(
        keep_alive_seconds=settings.keep_alive_seconds,
        max_connections=settings.max_connections,
        drain_seconds=settings.drain_seconds,
        finish_seconds=finish_seconds(settings),
    )
    main = create_app(services, clock=clock, extra_routes=page_routes(STATIC_FOLDER))
    apps = [main, create_operations_app(services, clock=clock)]
    servers = [HttpServer(app, listener, rules) for app, listener in zip(apps, doors.listeners, strict=False)]
    announce(address_of(doors.listeners[0]))
    try:
        await serve_until(stop, servers, lifecycle=services.lifecycle, rules=rules)
    finally:
        if services.events is not None:
            await services.events.close()
