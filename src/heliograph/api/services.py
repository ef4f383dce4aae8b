"""What the handlers need, assembled by ``bootstrap`` and carried by the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.uploads import UploadLimits
from heliograph.core import errors
from heliograph.core.pictures import MEGABYTE
from heliograph.core.ports import Metrics
from heliograph.serving.access import KeyRing
from heliograph.serving.admission import Admission
from heliograph.serving.events import EventFeed
from heliograph.serving.fleet import FleetView
from heliograph.serving.jobs import Jobs
from heliograph.serving.model_table import ModelTable
from heliograph.serving.predict import Predictor
from heliograph.serving.upkeep import QueueView

NO_JOBS = (
    "This process takes no jobs; `heliograph up` does, and `heliograph serve` unless HELIOGRAPH_JOBS=off."
)
NO_FLEET = "This process has no workers beside it; `heliograph up` and `mode: queue` of the chart have."
JOB_UPLOAD_LIMITS = UploadLimits(max_bytes=64 * MEGABYTE, max_pictures=500, timeout_seconds=60.0)


class Lifecycle:
    """Whether the process is stopping."""

    def __init__(self) -> None:
        self._draining = asyncio.Event()

    @property
    def draining(self) -> bool:
        """Whether it is."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Says that it is, from here on."""
        self._draining.set()

    async def wait_for_drain(self) -> None:
        """Returns once it is."""
        await self._draining.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and rules behind the routes.

    ``allowed_hosts`` None means that the Host header is not checked (keys guard instead). ``jobs``, ``events`` and
    ``fleet`` are None where their routes answer `NeedsQueueMode`, ``queue_view`` where there is no queue to measure.
    """

    version: str
    worker: str
    predictor: Predictor
    models: ModelTable
    admission: Admission
    keys: KeyRing
    metrics: Metrics
    upload_limits: UploadLimits
    allowed_hosts: tuple[str, ...] | None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    job_upload_limits: UploadLimits = JOB_UPLOAD_LIMITS
    jobs: Jobs | None = None
    events: EventFeed | None = None
    fleet: FleetView | None = None
    queue_view: QueueView | None = None

    def need_jobs(self) -> Jobs:
        """The jobs, or `NeedsQueueMode`."""
        if self.jobs is None:
            raise errors.NeedsQueueMode(NO_JOBS)
        return self.jobs

    def need_events(self) -> EventFeed:
        """The events, or `NeedsQueueMode`."""
        if self.events is None:
            raise errors.NeedsQueueMode(NO_JOBS)
        return self.events

    def need_fleet(self) -> FleetView:
        """The fleet, or `NeedsQueueMode`."""
        if self.fleet is None:
            raise errors.NeedsQueueMode(NO_FLEET)
        return self.fleet


Handler: TypeAlias = Callable[[Request, Services], Awaitable[Response]]
"""What a route of the table calls."""
