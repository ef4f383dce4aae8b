"""One HTTP connection: uvicorn's, bounded in number and in how long the head of a request may take."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_SECONDS = 20.0
"""From a request's first byte to the end of its headers."""
STALL_SECONDS = 20.0
"""A client that takes nothing of its answer for so long is cut off."""


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
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection in, or closes it if there are too many."""
        super().connection_made(cast("asyncio.Transport", transport))
        if self._max_connections is not None and len(self.connections) > self._max_connections:
            self.transport.abort()
        else:
            self._expect_head(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timers."""
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._expect_head(HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_timer()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is written."""
        super().pause_writing()
        self._watch_stall(self.transport.get_write_buffer_size() + 1)

    def resume_writing(self) -> None:
        """The client has taken enough of its answer."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        super().resume_writing()

    def _watch_stall(self, before: int) -> None:
        """Cuts the client off if it took nothing since ``before`` bytes were left."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._stall_timer = self.loop.call_later(STALL_SECONDS, self._watch_stall, left)

    def _expect_head(self, seconds: float) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
