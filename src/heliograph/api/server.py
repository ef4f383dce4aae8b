"""The HTTP server and its stopping order, which loses nothing that was taken.

Taken means: the connection was accepted. uvicorn alone closes its listeners at once and drops connections
whose request has not arrived yet. Here, on the stop signal:

1. readiness goes off, every answer says ``Connection: close``, and the listener goes on accepting for
   ``drain_seconds``, so that load balancers and clients turn away by themselves;
2. the listeners are closed, and what the kernel had accepted until then is taken in;
3. connections whose request is on its way get ``SETTLE_SECONDS`` to send it;
4. what is in work is finished, until ``finish_seconds`` are over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from heliograph.api.connections import Connection
from heliograph.api.services import Lifecycle

log = logging.getLogger("heliograph.server")

SETTLE_SECONDS = 1.0
TICK_SECONDS = 0.02
BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRules:
    """How connections are kept and how the server stops; all in seconds but ``max_connections``."""

    keep_alive_seconds: float = 75.0
    max_connections: int = 4096
    drain_seconds: float = 0.2
    finish_seconds: float = 35.0


class HttpServer(uvicorn.Server):
    """One application on one listening socket."""

    def __init__(self, app: ASGIApp, listener: socket.socket, rules: ServerRules) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=rules.max_connections,
                timeout_keep_alive=math.ceil(rules.keep_alive_seconds),
                timeout_graceful_shutdown=math.ceil(rules.finish_seconds),
            )
        )
        self._listener = listener
        self._sweep = listener.dup()
        """The same listening socket once more: it outlives the listener for the last accepts."""

    async def run_until_stopped(self) -> None:
        """Serves until `stop` is called and everything taken is answered."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Begins steps 2 to 4; returns at once."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the process."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Steps 2 to 4."""
        for server in self.servers:
            server.close()
        await self._take_in_the_last()
        await self._settle()
        await super().shutdown(sockets)

    async def _take_in_the_last(self) -> None:
        """Accepts what the kernel accepted before the listener was closed."""
        loop = asyncio.get_running_loop()
        self._sweep.setblocking(False)
        last: list[socket.socket] = []
        with contextlib.suppress(OSError):  # there is none, or no file for one more
            while True:
                last.append(self._sweep.accept()[0])
        self._sweep.close()
        for connection in last:
            connection.setblocking(False)
            with contextlib.suppress(OSError):  # it may be gone already
                await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(0)  # the event loop's own last accepts reach their protocols one turn later

    def _protocol(self) -> asyncio.Protocol:
        return Connection(config=self.config, server_state=self.server_state, app_state={})

    async def _settle(self) -> None:
        """Waits until no connection is open, `SETTLE_SECONDS` at most: a request may be on its way."""
        for _ in range(int(SETTLE_SECONDS / TICK_SECONDS)):
            if not self.server_state.connections:
                return
            await asyncio.sleep(TICK_SECONDS)


async def serve_until(
    stop: asyncio.Event, servers: Sequence[HttpServer], *, lifecycle: Lifecycle, rules: ServerRules
) -> None:
    """Runs servers until ``stop`` is set, then stops them one after the other, the first one first.

    The operations port comes last in ``servers``: probes are answered while the main one drains.
    """
    running = [asyncio.ensure_future(server.run_until_stopped()) for server in servers]
    stopping: asyncio.Task[object] = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping", extra={"drain_seconds": rules.drain_seconds})
        lifecycle.drain()
        if stop.is_set():
            await asyncio.sleep(rules.drain_seconds)
        for server, task in zip(servers, running, strict=True):
            server.stop()
            await task
    finally:
        stopping.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(stopping, *running, return_exceptions=True)
