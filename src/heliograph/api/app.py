"""The application: the table of routes, wrapped in access checks and the request envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from heliograph.api.access import Doorkeeper, identified
from heliograph.api.errors import http_problem_response, problem_response
from heliograph.api.middleware import RequestEnvelope
from heliograph.api.predict import CLIENT_CLOSED_REQUEST
from heliograph.api.routes import OPERATIONS_ROUTES, ROUTES
from heliograph.api.services import Services
from heliograph.api.specs import RouteSpec
from heliograph.core import errors
from heliograph.core.ports import Clock

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(services: Services, *, clock: Clock, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application of the main port. ``extra_routes`` come last: the web page."""
    routes = [*_routes(ROUTES, services), *extra_routes]
    return _application(routes, services, clock=clock, allowed_hosts=services.allowed_hosts)


def create_operations_app(services: Services, *, clock: Clock) -> Starlette:
    """The application of the operations port: probes and metrics, for everybody who can reach it."""
    return _application(_routes(OPERATIONS_ROUTES, services), services, clock=clock, allowed_hosts=None)


def _application(
    routes: Sequence[BaseRoute],
    services: Services,
    *,
    clock: Clock,
    allowed_hosts: tuple[str, ...] | None,
) -> Starlette:
    lifecycle = services.lifecycle
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(
                RequestEnvelope,
                worker=services.worker,
                metrics=services.metrics,
                clock=clock,
                is_draining=lambda: lifecycle.draining,
            ),
            Middleware(Doorkeeper, allowed_hosts=allowed_hosts),
        ],
        exception_handlers={
            errors.HeliographError: _answer_error,
            HTTPException: _answer_http_exception,
            ClientDisconnect: _answer_disconnect,
        },
    )


def _routes(table: Sequence[RouteSpec], services: Services) -> list[BaseRoute]:
    paths: dict[str, dict[str, Endpoint]] = {}
    for spec in table:
        paths.setdefault(spec.path, {})[spec.method] = _endpoint(spec, services)
    return [
        Route(path, _by_method(endpoints), methods=list(endpoints), name=path)
        for path, endpoints in paths.items()
    ]


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    """One endpoint for all methods of a path, so that a refusal names each of them."""

    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _endpoint(spec: RouteSpec, services: Services) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if spec.scopes:
            request.state.caller = identified(request, services.keys, spec.scopes)
        return await spec.handler(request, services)

    return endpoint


async def _answer_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.HeliographError):
        raise error
    return problem_response(error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return http_problem_response(error.status_code, error.detail, dict(error.headers or {}))


async def _answer_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
