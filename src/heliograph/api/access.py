"""Who is let in: the Host and Origin of a request, and its API key."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph.api.errors import problem_response
from heliograph.core import errors
from heliograph.serving.access import Caller

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAME_SITE = frozenset({"same-origin", "none"})


def caller_of(request: Request) -> Caller:
    """Who sends a request whose route asks for a scope."""
    caller: Caller = request.state.caller
    return caller


def bearer_key(headers: Headers) -> str | None:
    """The API key of a request, or None."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else None


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without its port."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.lower().rstrip(".")


def check_host(headers: Headers, allowed: Sequence[str]) -> None:
    """Raises `HostRefused` unless the Host header names one of ``allowed`` (``*``: any).

    Without it a web page whose name resolves to 127.0.0.1 could read answers (DNS rebinding).
    """
    if "*" not in allowed and host_name(headers.get("host", "")) not in allowed:
        name = errors.excerpt(headers.get("host", ""))
        raise errors.HostRefused(
            f"{name!r} is not served here; HELIOGRAPH_ALLOWED_HOSTS may name it, or create API keys."
        )


def check_origin(method: str, headers: Headers) -> None:
    """Raises `OriginRefused` for a changing request that a page of another origin sent.

    Browsers say so in Sec-Fetch-Site, older ones in Origin; other clients send neither.
    """
    if method in SAFE_METHODS:
        return
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in SAME_SITE:
            raise errors.OriginRefused
        return
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin, headers.get("host", "")):
        raise errors.OriginRefused


def _is_own(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:  # half a bracket, for one
        return False


class Doorkeeper:
    """Middleware that checks Host (where ``allowed_hosts`` is given) and Origin of every request."""

    def __init__(self, app: ASGIApp, *, allowed_hosts: Sequence[str] | None) -> None:
        self._app = app
        self._allowed_hosts = None if allowed_hosts is None else [host.lower() for host in allowed_hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers with a problem."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                if self._allowed_hosts is not None:
                    check_host(headers, self._allowed_hosts)
                check_origin(scope["method"], headers)
            except errors.AccessError as error:
                await problem_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
