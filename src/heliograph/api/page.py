"""The web page: files of a folder, read once, with a policy that lets nothing else in."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
INDEX = "index.html"
WITHOUT = "without.html"
"""Says how to add the packages that the page is made with, where they are not."""
MANIFEST = Path("vendor", "MANIFEST.json")
"""Is there if the packages are."""
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
    index = folder / (INDEX if (folder / MANIFEST).is_file() else WITHOUT)
    routes: list[BaseRoute] = [Route("/", _endpoint(index, "text/html"), methods=["GET"], name=INDEX)]
    for path in sorted(folder.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            name = path.relative_to(folder).as_posix()
            endpoint = _endpoint(path, MEDIA_TYPES[path.suffix])
            routes.append(Route(f"/console/{name}", endpoint, methods=["GET"], name=name))
    return routes


def _endpoint(path: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = path.read_bytes()
    headers = {**HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:20]}"'}

    async def endpoint(request: Request) -> Response:
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return endpoint
