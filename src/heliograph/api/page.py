"""The web page: files of a folder, read once, with a policy that lets nothing else in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes(folder: Path) -> list[BaseRoute]:
    """``/`` and one route for each file of a folder, below ``/console``."""
    routes: list[BaseRoute] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in MEDIA_TYPES:
            endpoint = _endpoint(path.read_bytes(), MEDIA_TYPES[path.suffix])
            address = "/" if path.name == INDEX else f"/console/{path.name}"
            routes.append(Route(address, endpoint, methods=["GET"], name=path.name))
    return routes


def _endpoint(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=HEADERS)

    return endpoint
