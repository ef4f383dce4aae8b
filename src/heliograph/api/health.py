"""What probes and Prometheus ask.

``livez``: the event loop turns. ``startupz``: every model is settled. ``readyz``: it makes sense to send
requests: models are settled, one at least answers, and the process is not stopping.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api.services import Services

QUEUE_SECONDS = 2.0
"""How long metrics wait for the numbers of the queue."""


async def live(request: Request, services: Services) -> Response:
    """``GET /livez``."""
    return JSONResponse({"status": "ok", "models": {}})


async def started(request: Request, services: Services) -> Response:
    """``GET /startupz``."""
    return _probe(services, "ok" if services.models.settled else "starting")


async def ready(request: Request, services: Services) -> Response:
    """``GET /readyz``."""
    if services.lifecycle.draining:
        return _probe(services, "stopping")
    if not services.models.settled:
        return _probe(services, "starting")
    return _probe(services, "ok" if services.models.ready else "no-model")


async def metrics(request: Request, services: Services) -> Response:
    """``GET /metrics``: for Prometheus."""
    if services.queue_view is not None:
        with suppress(TimeoutError):  # of a queue that hangs the other metrics are the more welcome
            async with asyncio.timeout(QUEUE_SECONDS):
                await services.queue_view.refresh()
    body, content_type = services.metrics.render()
    return Response(body, headers={"Content-Type": content_type})


def _probe(services: Services, status: str) -> Response:
    models = {model.reference: model.state.value for model in services.models}
    headers = {} if status == "ok" else {"Retry-After": "1"}
    return JSONResponse({"status": status, "models": models}, 200 if status == "ok" else 503, headers)
