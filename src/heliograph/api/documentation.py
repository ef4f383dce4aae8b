"""``/docs`` and ``/openapi.json``, without the internet: Swagger UI comes from an installed package."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.services import Services

SWAGGER_PACKAGE = "fastapi_offline"
"""Installed for its copy of Swagger UI alone; it is never imported."""
FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
START_SCRIPT = """\
window.onload = () => SwaggerUIBundle({
  url: "../openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
});
"""
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heliograph API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)


async def page(request: Request, services: Services) -> Response:
    """``GET /docs``."""
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(PAGE, media_type="text/html", headers=headers)


async def file(request: Request, services: Services) -> Response:
    """``GET /docs/{file}``."""
    name = request.path_params["file"]
    if name not in FILES:
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(_read(name), media_type=FILES[name], headers=headers)


async def document(request: Request, services: Services) -> Response:
    """``GET /openapi.json``."""
    return Response(_document(services.version), media_type="application/json")


@cache
def _document(version: str) -> bytes:
    from heliograph.api.openapi import build_document  # FastAPI: 0.2 s that starting does without

    return json.dumps(build_document(version)).encode()


@cache
def _read(name: str) -> bytes:
    if name == "start.js":
        return START_SCRIPT.encode()
    package = find_spec(SWAGGER_PACKAGE)
    if package is None or package.origin is None:
        raise HTTPException(404, f"The package {SWAGGER_PACKAGE} is not installed.")
    return (Path(package.origin).parent / "static" / name).read_bytes()
