"""Taking a request in: a permit, its upload, and an end when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import ClientDisconnect, Request

from heliograph.api.services import Services
from heliograph.api.uploads import Upload, UploadLimits, read_upload
from heliograph.core import errors
from heliograph.serving.admission import Permit


@asynccontextmanager
async def admitted(request: Request, services: Services) -> AsyncIterator[Upload]:
    """The upload of a request that holds a permit; what runs inside ends when the client goes away."""
    async with taken_in(request, services, services.upload_limits) as (upload, _):
        with _cancelled_on_disconnect(request):
            yield upload


@asynccontextmanager
async def taken_in(
    request: Request, services: Services, limits: UploadLimits
) -> AsyncIterator[tuple[Upload, Permit]]:
    """The upload of a request, and the permit that it holds."""
    with permitted(services) as permit:
        yield await read_upload(request, limits, permit), permit


@contextmanager
def permitted(services: Services) -> Iterator[Permit]:
    """A permit for what holds memory; refusals are counted."""
    with _counted(services), services.admission.admit() as permit, services.metrics.in_flight():
        yield permit


@contextmanager
def _counted(services: Services) -> Iterator[None]:
    """Counts refusals by their code."""
    try:
        yield
    except (errors.CapacityError, errors.RequestError) as error:
        services.metrics.request_refused(error.code)
        raise


@contextmanager
def _cancelled_on_disconnect(request: Request) -> Iterator[None]:
    """Cancels the current task when the client disconnects, so that its picture costs nothing more.

    Raises:
        ClientDisconnect: instead of the cancellation.
    """
    current = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        message = await request.receive()
        if message["type"] == "http.disconnect" and current is not None:
            gone = True
            current.cancel()

    watcher = asyncio.get_running_loop().create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or current is None:
            raise
        current.uncancel()
        raise ClientDisconnect from None
    finally:
        watcher.cancel()
