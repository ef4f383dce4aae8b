"""Who is let in: the Host and Origin of a request, and its API key or the session that stands for one."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph.api.errors import problem_response
from heliograph.core import errors
from heliograph.serving.access import Caller, KeyRing
from heliograph.serving.access import Scope as KeyScope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
SAME_SITE = frozenset({"same-origin", "none"})
SESSION_COOKIE = "heliograph"
SECURE_COOKIE = "__Host-heliograph"
"""Of a session that was begun over HTTPS: browsers let no other host set it (RFC 6265bis, section 4.1.3.2)."""


def caller_of(request: Request) -> Caller:
    """Who sends a request whose route asks for a scope."""
    caller: Caller = request.state.caller
    return caller


def identified(request: Request, keys: KeyRing, scopes: Sequence[KeyScope]) -> Caller:
    """Who sends a request, by its key, or without one by the session in its cookie.

    A browser sends cookies whoever made it send the request. So a request that changes something and has nothing
    but a cookie must say that a page of ours sent it; `check_origin` sees to it that it is one.

    Raises:
        AccessError: it is not let in.
    """
    key, token = bearer_key(request.headers), session_token(request)
    if key is not None or token is None or not keys:
        return keys.check(key, *scopes)
    check_page_is_named(request.method, request.headers)
    return keys.check_session(token, *scopes)


def session_token(request: Request) -> str | None:
    """The session in a request's cookies, or None.

    The plain cookie may be set by neighbours of our host's name, who would have pictures sent under a key of theirs; so
    it does not count where HTTPS is certain, as it is for whatever pages change.
    """
    plain = None if came_securely(request) else request.cookies.get(SESSION_COOKIE)
    return request.cookies.get(SECURE_COOKIE) or plain or None


def came_securely(request: Request) -> bool:
    """Whether a request came over HTTPS.

    No proxy is trusted to say so. The browser is: its Origin header has the scheme under which it knows us.
    """
    origin = request.headers.get("origin", "")
    own_page = origin.startswith("https:") and _is_own(origin, request.headers.get("host", ""))
    return own_page or request.url.scheme == "https"


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


def check_page_is_named(method: str, headers: Headers) -> None:
    """Raises `OriginRefused` for a changing request that does not say which page sent it."""
    if method not in SAFE_METHODS and "sec-fetch-site" not in headers and "origin" not in headers:
        raise errors.OriginRefused(
            "With a cookie only web pages change something, and their browser says which page it is. Programs send "
            "their key as `Authorization: Bearer KEY`."
        )


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
