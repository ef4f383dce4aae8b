"""The routes of the session: a web page exchanges an API key for a cookie, which event streams can send as well."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api import parameters
from heliograph.api.access import (
    SECURE_COOKIE,
    SESSION_COOKIE,
    caller_of,
    came_securely,
    check_page_is_named,
    session_token,
)
from heliograph.api.services import Services
from heliograph.api.uploads import UploadLimits, read_body
from heliograph.core import errors
from heliograph.serving.access import Caller, KeyRing, Scope
from heliograph.serving.sessions import SESSION_SECONDS

KEY_LIMITS = UploadLimits(max_bytes=4096, max_pictures=0, timeout_seconds=10.0)


async def open_session(request: Request, services: Services) -> Response:
    """``POST /v1/session``: sets the cookie that stands for a key."""
    key, keys = await _read_key(request), services.keys
    if not keys:
        return JSONResponse(_told(keys, Caller()))
    response, is_secure = JSONResponse(_told(keys, keys.check(key, *Scope))), came_securely(request)
    response.set_cookie(
        SECURE_COOKIE if is_secure else SESSION_COOKIE,
        keys.open_session(key),
        max_age=SESSION_SECONDS,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="strict",
    )
    return response


async def show_session(request: Request, services: Services) -> Response:
    """``GET /v1/session``: who asks, and what it may."""
    return JSONResponse(_told(services.keys, caller_of(request)))


async def close_session(request: Request, services: Services) -> Response:
    """``DELETE /v1/session``: removes the cookie, also one that is over."""
    if session_token(request) is not None:
        check_page_is_named(request.method, request.headers)
    response = Response(status_code=204)
    for name in (SECURE_COOKIE, SESSION_COOKIE):
        is_secure = name == SECURE_COOKIE  # else browsers do not take the order
        response.delete_cookie(name, path="/", secure=is_secure, httponly=True, samesite="strict")
    return response


async def _read_key(request: Request) -> str:
    """The key in the body; what is wrong with it is told without citing it."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _malformed()  # only JSON: a form of another page may be sent without asking us first
    body = await read_body(request, KEY_LIMITS)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed() from None
    if not isinstance(document, dict) or list(document) != [parameters.KEY.name]:
        raise _malformed()
    key = document[parameters.KEY.name]
    if not isinstance(key, str):
        raise _malformed()
    return key


def _malformed() -> errors.RequestMalformed:
    return errors.RequestMalformed('Send the API key as JSON: {"key": "hg_…"}.')


def _told(keys: KeyRing, caller: Caller) -> dict[str, Any]:
    return {"name": caller.name, "scopes": keys.scopes_of(caller), "keys_asked": bool(keys)}
