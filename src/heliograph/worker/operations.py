"""The operations port of a worker: probes and metrics, answered by the event loop that does the work.

Four fixed answers to GET, one a connection; no framework is needed for that, and pods that decode pictures have none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

log = logging.getLogger("heliograph.worker")

MAX_HEAD_BYTES = 8192
HEAD_SECONDS = 5.0
MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer."""

    status: int
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def probe(cls, status: str, models: Mapping[str, str]) -> Page:
        """What a probe is told; anything but ``ok`` is 503."""
        body = json.dumps({"status": status, "models": dict(models)}).encode()
        return cls(status=200 if status == "ok" else 503, body=body)


Pages: TypeAlias = Mapping[str, Callable[[], Page]]
"""What is answered under each path."""


class OperationsServer:
    """Answers on one listening socket."""

    def __init__(self, listener: socket.socket, pages: Pages) -> None:
        self._listener = listener
        self._pages = pages
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begins to answer."""
        self._server = await asyncio.start_server(self._answer, sock=self._listener, limit=MAX_HEAD_BYTES)

    async def stop(self) -> None:
        """Closes the port and what is open on it."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            with suppress(OSError):
                writer.close()

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
        path = rest.split(b" ")[0].partition(b"?")[0].decode("latin-1")
        if path not in self._pages:
            page = Page(status=404, body=b'{"status": "no such page"}')
        elif method not in (b"GET", b"HEAD"):
            page = Page(status=405, body=b'{"status": "only GET"}')
        else:
            page = self._pages[path]()
        lines = (
            f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}",
            f"Content-Type: {page.content_type}",
            f"Content-Length: {len(page.body)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == b"HEAD" else page.body)
