"""The routes of the fleet: see, scale, stop, and what was done."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api import parameters
from heliograph.api.access import caller_of
from heliograph.api.services import Services
from heliograph.api.timestamps import timestamp
from heliograph.api.uploads import read_parameters
from heliograph.core.fleet import FleetAction, FleetBounds
from heliograph.serving.fleet import FleetWorker


async def show_fleet(request: Request, services: Services) -> Response:
    """``GET /v1/fleet``: the workers, and how many there may be."""
    status = await services.need_fleet().status()
    bounds = status.bounds
    return JSONResponse(
        {
            "bounds": None if bounds is None else {"min": bounds.minimum, "max": bounds.maximum},
            "read_only": status.is_read_only,
            "obstacle": status.obstacle or None,
            "workers": [_worker(worker) for worker in status.workers],
        }
    )


async def scale_fleet(request: Request, services: Services) -> Response:
    """``POST /v1/fleet/scale``: sets how many workers there may be."""
    fleet = services.need_fleet()
    given = await read_parameters(request)
    parameters.check_query(given, parameters.SCALE)
    bounds = FleetBounds(
        minimum=parameters.read_number(given, parameters.MINIMUM),
        maximum=parameters.read_number(given, parameters.MAXIMUM),
    )
    return JSONResponse(_action(await fleet.scale(bounds, who=caller_of(request).name)))


async def stop_worker(request: Request, services: Services) -> Response:
    """``DELETE /v1/fleet/workers/{worker}``: stops one worker."""
    name = request.path_params["worker"]
    action = await services.need_fleet().stop(name, who=caller_of(request).name)
    return JSONResponse(_action(action))


async def fleet_log(request: Request, services: Services) -> Response:
    """``GET /v1/fleet/log``: what was done, newest first."""
    query = parameters.read_query(request.query_params, (parameters.LIMIT,))
    limit = parameters.read_number(query, parameters.LIMIT)
    actions = await services.need_fleet().actions(limit=limit)
    return JSONResponse({"actions": [_action(action) for action in actions]})


def _worker(worker: FleetWorker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "state": worker.state.value,
        "host": worker.host,
        "pid": worker.pid or None,
        "models": dict(worker.models),
        "holding": worker.holding,
        "finished": worker.finished,
        "started_at": timestamp(worker.started_at) if worker.started_at else None,
        "seen_at": timestamp(worker.seen_at) if worker.seen_at else None,
        "reason": worker.reason or None,
    }


def _action(action: FleetAction) -> dict[str, Any]:
    return {
        "at": timestamp(action.at),
        "who": action.who,
        "what": action.what,
        "command": action.command,
        "outcome": action.outcome,
        "seconds": round(action.seconds, 3),
    }
