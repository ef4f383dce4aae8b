"""A proxy between clients and a server that delays, holds, loses and cuts what passes, as it is told while it runs.

What is held is delivered once the fault is over, as after a short partition; what is held when connections are cut is
lost, which is how an answer gets lost on its way.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

CHUNK_BYTES = 65_536
PATIENCE_SECONDS = 10.0
TURNS = 10
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class FaultProxy:
    """Listens on a port of the loopback and passes on to a unix socket or another port; in a thread of its own.

    Its faults may be called from any other thread, and hold when they return.
    """

    def __init__(self, target: str | int) -> None:
        self._target = target
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._requests_pass, self._answers_pass = asyncio.Event(), asyncio.Event()
        self._latency_seconds, self._bytes_per_second = 0.0, float("inf")
        self.held = 0
        """How many connections' directions have something that does not pass."""

    @property
    def url(self) -> str:
        """Where a client of Redis finds it."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def slow(self, *, latency_seconds: float = 0.0, bytes_per_second: float = float("inf")) -> None:
        """What passes is so late, and no more passes in a second of each connection's direction."""

        async def slow() -> None:
            self._latency_seconds, self._bytes_per_second = latency_seconds, bytes_per_second

        self._do(slow())

    def hold(self) -> None:
        """Nothing passes and nothing is closed: neither side hears of it."""

        async def hold() -> None:
            self._requests_pass.clear()
            self._answers_pass.clear()

        self._do(hold())

    def hold_answers(self) -> None:
        """Requests pass, and what is answered does not."""

        async def hold() -> None:
            self._answers_pass.clear()

        self._do(hold())

    def cut(self) -> None:
        """Resets all connections; what is held in them is lost. New ones are taken."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Resets all connections and takes no new ones."""

        async def refuse() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
            for _ in range(TURNS):  # until those are there that were being taken just now
                await asyncio.sleep(0)
            await self._cut()

        self._do(refuse())

    def heal(self) -> None:
        """Ends all faults."""

        async def heal() -> None:
            self._latency_seconds, self._bytes_per_second = 0.0, float("inf")
            self._requests_pass.set()
            self._answers_pass.set()
            if self._server is None:
                self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
                self.port = self._server.sockets[0].getsockname()[1]

        self._do(heal())

    def start(self) -> None:
        """Begins to listen."""
        self._thread.start()
        self.heal()

    def stop(self) -> None:
        """Ends all connections and the thread."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(PATIENCE_SECONDS)

    async def _cut(self) -> None:
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it or it is cut."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ends = [writer]
        try:
            if self._server is None:
                raise _Closed
            back_reader, back = await self._connect()
            ends.append(back)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pass(reader, back, self._requests_pass))
                ways.create_task(self._pass(back_reader, writer, self._answers_pass))
        except (asyncio.CancelledError, OSError, _Closed, ExceptionGroup):
            pass
        finally:
            self._connections.discard(task)
            for end in ends:
                _reset(end)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, int):
            return await asyncio.open_connection("127.0.0.1", self._target)
        return await asyncio.open_unix_connection(self._target)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may_pass: asyncio.Event
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await asyncio.sleep(self._latency_seconds + len(chunk) / self._bytes_per_second)
            self.held += 1
            try:
                await may_pass.wait()
            finally:
                self.held -= 1
            writer.write(chunk)
            await writer.drain()
        raise _Closed


class _Closed(Exception):
    """One side has closed its connection."""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection so that the other side is told of a failure, where its kind knows that."""
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.family == socket.AF_INET:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()


@contextmanager
def fault_proxy(target: str | int) -> Iterator[FaultProxy]:
    """A proxy without faults in front of a unix socket or a port of the loopback."""
    proxy = FaultProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
