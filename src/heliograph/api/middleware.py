"""Around every request: its id, who answered, the log line, the metrics, and the last resort for errors."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heliograph.api.errors import problem_response
from heliograph.core import errors
from heliograph.core.ports import Clock, Metrics

log = logging.getLogger("heliograph.access")

REQUEST_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
QUIET_ROUTES = frozenset({"/livez", "/readyz", "/startupz", "/metrics"})
"""Asked every few seconds by machines: counted, not logged unless they are refused or broken."""
USUAL_STATUSES = frozenset({200, 503})
UNMATCHED = "unmatched"
WORKER_HEADER = "Heliograph-Worker"
"""Who answered: this process, unless a handler names the worker that did."""
EVENT_STREAM = "text/event-stream"
"""An answer that lasts as long as its client likes: its time is that to its beginning."""
DISCARD_SECONDS = 2.0
LOGGED_PARAMETERS = frozenset({"job", "group"})
"""Parts of paths that the log line has as fields of their own."""
LOG_FIELDS = "heliograph.log"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def note_in_log(scope: Scope, **fields: str) -> None:
    """Adds fields to the log line of a request, such as the job that it is about."""
    scope.setdefault(LOG_FIELDS, {}).update(fields)


class RequestBody:
    """A request's body, of which something may be left when the answer is there.

    A connection that is closed with bytes unread is reset, and the reset may overtake the answer.
    """

    def __init__(self, headers: Headers, receive: Receive) -> None:
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.unread = has_body and "expect" not in headers
        self._receive = receive

    async def receive(self) -> Message:
        """The next message of the server."""
        message = await self._receive()
        self.unread = message["type"] == "http.request" and bool(message.get("more_body"))
        return message

    async def discard(self) -> None:
        """Reads what is left, for `DISCARD_SECONDS` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self.unread:
                    await self.receive()


class RequestEnvelope:
    """The outermost middleware.

    ``is_draining`` tells whether the process is stopping; then every answer closes its connection.
    """

    def __init__(
        self, app: ASGIApp, *, worker: str, metrics: Metrics, clock: Clock, is_draining: Callable[[], bool]
    ) -> None:
        self._app = app
        self._worker = worker
        self._metrics = metrics
        self._clock = clock
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request; never raises for HTTP."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock()
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        body = RequestBody(headers, receive)
        status = 0
        seconds: float | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                self._add_headers(answer, request_id)
                if answer.get("content-type", "").startswith(EVENT_STREAM):
                    seconds = self._clock() - started
            elif body.unread and not message.get("more_body") and self._closes(scope, headers):
                await send({**message, "more_body": True})
                await body.discard()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await self._app(scope, body.receive, send_with_headers)
        except asyncio.CancelledError:  # the stop waits no longer: the client is told so, not dropped
            if status or not self._is_draining():
                raise
            await problem_response(errors.ShuttingDown())(scope, receive, send_with_headers)
        except Exception:
            log.exception("This is a bug.", extra={"request_id": request_id, "path": scope["path"]})
            if status == 0:
                await problem_response(errors.HeliographError())(scope, receive, send_with_headers)
        finally:
            self._note(scope, request_id, status, self._clock() - started if seconds is None else seconds)

    def _closes(self, scope: Scope, headers: Headers) -> bool:
        """Whether the connection ends with this answer."""
        return (
            self._is_draining()
            or scope["http_version"] == "1.0"
            or headers.get("connection", "").lower() == "close"
        )

    def _add_headers(self, headers: MutableHeaders, request_id: str) -> None:
        headers["X-Request-ID"] = request_id
        headers.setdefault(WORKER_HEADER, self._worker)
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        if self._is_draining():
            headers["Connection"] = "close"

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.request_answered(route, method, status, seconds)
        if route in QUIET_ROUTES and status in USUAL_STATUSES:
            return
        log.info(
            "request",
            extra={
                "request_id": request_id,
                "method": method,
                "path": errors.excerpt(scope["path"]),
                "status": status,
                "ms": round(1000 * seconds, 2),
                **_about(scope),
            },
        )


def _about(scope: Scope) -> dict[str, str]:
    """What a request is about: as its path says, and as its handler found out."""
    named = scope.get("path_params", {})
    said = {name: errors.excerpt(named[name]) for name in LOGGED_PARAMETERS & named.keys()}
    return {**said, **scope.get(LOG_FIELDS, {})}


def _request_id(proposed: str | None) -> str:
    """The id that the client proposes if it is a harmless one, else a new one."""
    if proposed is not None and REQUEST_ID_PATTERN.fullmatch(proposed):
        return proposed
    return f"{random.getrandbits(64):016x}"  # an id, not a secret
