"""One HTTP connection: uvicorn's, bounded in number and in how long the head of a request may take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from heliograph.api.errors import PROBLEM_MEDIA_TYPE, problem_of
from heliograph.core import errors

HEAD_SECONDS = 20.0
"""From a request's first byte to the end of its headers."""
MAX_HEAD_BYTES = 65_536
"""Of a head, or of the fields behind a chunked body; what one read brings may come on top."""
REST_SECONDS = 20.0
"""For what is left of a body whose request is answered already."""
STALL_SECONDS = 20.0
STALL_BYTES = 65_536
"""A client that takes fewer bytes of its answer in `STALL_SECONDS` is cut off: the answer is in memory. So is one that
has not taken the last of it `STALL_SECONDS` after its connection was to be closed."""

NOT_HTTP = "These bytes are not an HTTP request: see to the request line, to percent-encoding in the URL, to headers."


class Connection(HttpToolsProtocol):
    """A connection that costs nothing for long.

    uvicorn alone waits for ever for a first byte and for the end of the headers, and once ``limit_concurrency``
    connections are open it answers 503 on all of them, probes included. Here one too many is closed at once.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._max_connections = self.limit_concurrency
        self.limit_concurrency = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._unfinished_bytes = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self._is_ending = False
        """Whether nothing that comes is looked at any more: what is under way is answered, and that is the end."""
        self._behind: list[RequestResponseCycle] = []
        """Requests that are answered while the next one of their connection is here already."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection in, or closes it if there are too many."""
        super().connection_made(cast("asyncio.Transport", transport))
        if self._max_connections is not None and len(self.connections) > self._max_connections:
            self.transport.abort()
        else:
            self._expect_end(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timers, and tells all requests of the connection: uvicorn tells the last one alone."""
        self._stop_timer()
        self._stop_stall_timer()
        self.pipeline.clear()
        for cycle in self._behind:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes in what came, and closes on a head that does not end: the parser would keep it all."""
        self._unset_keepalive_if_required()
        self._unfinished_bytes += len(data)
        if self._is_ending:
            return
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def _feed(self, data: bytes) -> None:
        """Has data parsed. A request that would rather speak another protocol is answered in this one.

        The parser ends at the head of such a request, body or none; another one goes on, and does not see the wish.

        Raises:
            HttpParserError: this is no HTTP.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError from upgrade
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                lines.append(
                    b"connection: " + b", ".join(each for each in tokens if each.lower() != b"upgrade")
                )
            elif name != b"upgrade":
                lines.append(b"%s: %s" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._expect_end(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._unfinished_bytes = 0
        self._stop_timer()
        if self.parser.should_upgrade():  # it comes once more, see `_feed`
            return
        self._behind = [
            cycle for cycle in (*self._behind, self.cycle) if cycle and not cycle.response_complete
        ]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._unfinished_bytes = 0
        self._stop_timer()
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of an answer; the request may not have ended yet."""
        unread = self.cycle is not None and self.cycle.more_body
        super().on_response_complete()
        self._expect_closing()
        if unread:
            self._expect_end(REST_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long."""
        super().timeout_keep_alive_handler()
        self._expect_closing()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._expect_closing()

    def _expect_closing(self) -> None:
        """Where the connection is to be closed: what is left of an answer has its time, and not more."""
        if self.transport.is_closing() and self._stall_timer is None:
            self._expect_reading()

    def _refuse(self) -> None:
        """Ends a connection on which something came that is no HTTP.

        Nothing has looked at it, so there is no request's id. Where answers are under way they come first, and alone.
        """
        unfinished = [cycle for cycle in (*self._behind, self.cycle) if cycle and not cycle.response_complete]
        if unfinished and not self._is_own_body(unfinished):
            self._is_ending = True
            unfinished[-1].keep_alive = False
            return
        body = json.dumps(problem_of(errors.RequestMalformed(NOT_HTTP))).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()
        self._expect_closing()

    def _is_own_body(self, unfinished: Sequence[RequestResponseCycle]) -> bool:
        """Whether what came belongs to the body of the only request, which has no answer yet."""
        (*before, last) = unfinished
        return not before and last.more_body and not last.response_started

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client has taken enough of its answer."""
        self._stop_stall_timer()
        super().resume_writing()
        self._expect_closing()

    def _expect_reading(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(STALL_SECONDS, self._check_reading, waiting)

    def _check_reading(self, before: int) -> None:
        """Cuts the client off if it took too little since ``before`` bytes were left."""
        if before - self.transport.get_write_buffer_size() < STALL_BYTES:
            self.transport.abort()
        else:
            self._expect_reading()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _expect_end(self, seconds: float) -> None:
        self._stop_timer()
        self._end_timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
