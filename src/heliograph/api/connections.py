"""One HTTP connection: uvicorn's, bounded in number and in how long the head of a request may take."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_SECONDS = 20.0
"""From a request's first byte to the end of its headers."""
MAX_HEAD_BYTES = 65_536
"""Of a head, or of the fields behind a chunked body; what one read brings may come on top."""
REST_SECONDS = 20.0
"""For what is left of a body whose request is answered already."""
STALL_SECONDS = 20.0
STALL_BYTES = 65_536
"""A client that takes fewer bytes of its answer in `STALL_SECONDS` is cut off: the answer is in memory."""


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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection in, or closes it if there are too many."""
        super().connection_made(cast("asyncio.Transport", transport))
        if self._max_connections is not None and len(self.connections) > self._max_connections:
            self.transport.abort()
        else:
            self._expect_end(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timers."""
        self._stop_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes in what came, and closes on a head that does not end: the parser would keep it all."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._expect_end(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._unfinished_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._unfinished_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of an answer; the request may not have ended yet."""
        unread = self.cycle is not None and self.cycle.more_body
        super().on_response_complete()
        if unread:
            self._expect_end(REST_SECONDS)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client has taken enough of its answer."""
        self._stop_stall_timer()
        super().resume_writing()

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
