"""A closed-loop HTTP client: so many connections, each sends its next request when it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Window:
    """What one run of the client saw. ``latencies`` are seconds of good answers."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    without_retry_after: int = 0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        if not ordered:
            return float("nan")
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def post(path: str, body: bytes, content_type: str = "image/jpeg") -> bytes:
    """A whole HTTP/1.1 request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def run(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, pause: float = 0.0
) -> Window:
    """Sends ``requests`` in turn over ``connections`` for ``seconds``; ``pause`` follows a refusal."""
    window = Window()
    started = time.perf_counter()
    end = started + seconds

    async def one(first: int) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        number = first
        while time.perf_counter() < end:
            try:
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", port)
                begun = time.perf_counter()
                status, keep = await exchange(*streams, requests[number % len(requests)], window)
                if status == 200:
                    window.latencies.append(time.perf_counter() - begun)
                elif pause:
                    await asyncio.sleep(pause)
                number += connections
                if not keep:
                    streams[1].close()
                    streams = None
            except (OSError, asyncio.IncompleteReadError) as error:
                window.failures[type(error).__name__] += 1
                streams = None
        if streams is not None:
            streams[1].close()

    await asyncio.gather(*(one(index) for index in range(connections)))
    window.seconds = time.perf_counter() - started
    return window


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, window: Window
) -> tuple[int, bool]:
    """Sends one request and reads its answer; says its status and whether the connection stays."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head[9:12])
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    window.statuses[status] += 1
    if status in (429, 503) and b"\r\nretry-after:" not in head:
        window.without_retry_after += 1
    return status, b"\r\nconnection: close" not in head
