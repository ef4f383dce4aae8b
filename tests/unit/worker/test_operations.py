"""The operations port of a worker, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heliograph.worker import operations
from heliograph.worker.operations import OperationsServer, Page

pytestmark = pytest.mark.anyio
PAGES = {
    "/livez": lambda: Page.probe("ok", {}),
    "/readyz": lambda: Page.probe("starting", {"m": "loading"}),
    "/metrics": lambda: Page(status=200, body=b"x 1\n", content_type="text/plain"),
}


@asynccontextmanager
async def port() -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = OperationsServer(listener, PAGES)
    await server.start()
    yield listener.getsockname()[1]
    await server.stop()


async def ask(number: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /livez HTTP/1.1", b"200 OK", b'{"status": "ok", "models": {}}'),
        (b"GET /livez?verbose HTTP/1.0", b"200 OK", b'{"status": "ok", "models": {}}'),
        (b"GET /readyz HTTP/1.1", b"503 ", b'{"status": "starting", "models": {"m": "loading"}}'),
        (b"GET /metrics HTTP/1.1", b"200 OK", b"x 1\n"),
        (b"HEAD /metrics HTTP/1.1", b"200 OK", b""),
        (b"POST /livez HTTP/1.1", b"405 ", b'{"status": "only GET"}'),
        (b"GET /etc/passwd HTTP/1.1", b"404 ", b'{"status": "no such page"}'),
        (b"\xff\xfe", b"404 ", b'{"status": "no such page"}'),
    ],
)
async def test_it_answers_what_it_has(request_line: bytes, status: bytes, body: bytes) -> None:
    async with port() as number:
        answer = await ask(number, request_line + b"\r\nHost: x\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert content == body


@pytest.mark.parametrize("request_bytes", [b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 5000, b"x" * 100_000])
async def test_an_endless_head_is_cut_off(request_bytes: bytes) -> None:
    async with port() as number:
        assert await ask(number, request_bytes) == b""


async def test_who_says_nothing_is_cut_off_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "HEAD_SECONDS", 0.2)
    async with port() as number:
        silent = [await asyncio.open_connection("127.0.0.1", number) for _ in range(20)]
        assert b"200 OK" in await ask(number, b"GET /livez HTTP/1.1\r\n\r\n")
        for reader, writer in silent:
            async with asyncio.timeout(10):
                (end,) = await asyncio.gather(reader.read(), return_exceptions=True)
            assert end == b"" or isinstance(end, ConnectionResetError)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_too_many_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_CONNECTIONS", 2)
    async with port() as number:
        silent = [await asyncio.open_connection("127.0.0.1", number) for _ in range(2)]
        assert await ask(number, b"") == b""
        for _, writer in silent:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
