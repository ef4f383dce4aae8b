"""More than the server can do: it refuses at once, stays small, and recovers. Real process, real sockets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from integration.raw_http import ask_once, read_answer, request_bytes
from integration.tiny_models import colour_picture, write_models
from service import Service, start_service

CLIENTS = 512
LOAD_SECONDS = 3.0
GROWTH_BYTES = 200_000_000
"""64 requests of 2 megapixels decoded and as bytes, 512 connections, and the allocator's slack."""
RED = request_bytes("/v1/models/busy-colours/predict", colour_picture("red", 1400, "BMP"))
SMALL_RED = request_bytes("/v1/models/busy-colours/predict", colour_picture("red"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


async def insist(port: int, until: float, seen: Counter[str]) -> None:
    """A closed loop that ignores Retry-After, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.monotonic() < until:
            writer.write(RED if seen["sent"] % 8 == 0 else SMALL_RED)
            seen["sent"] += 1
            answer = await read_answer(reader)
            seen[str(answer.status)] += 1
            if answer.status in (429, 503):
                assert int(answer.headers["retry-after"]) >= 1
                assert answer.headers["content-type"] == "application/problem+json"
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        seen[f"broken: {type(error).__name__}"] += 1
    finally:
        writer.transport.abort()


async def watch_memory(server: Service, until: float) -> int:
    most = 0
    while time.monotonic() < until:
        most = max(most, server.resident_bytes())
        await asyncio.sleep(0.1)
    return most


async def test_512_clients_are_answered_or_told_when_to_come_back(folder: Path) -> None:
    with start_service(model_dir=folder, models="busy-colours", threads=1) as server:
        assert (await ask_once(server.port, RED)).status == 200
        before = server.resident_bytes()
        seen: Counter[str] = Counter()
        until = time.monotonic() + LOAD_SECONDS
        watch = asyncio.create_task(watch_memory(server, until))
        await asyncio.gather(*(insist(server.port, until, seen) for _ in range(CLIENTS)))
        assert set(seen) <= {"sent", "200", "503", "429"}, seen
        assert seen["200"] > 0
        assert seen["503"] + seen["429"] > 0
        growth = await watch - before
        assert growth < GROWTH_BYTES, growth
        await check_recovery(server)


async def check_recovery(server: Service) -> None:
    """Within two seconds after the crowd is gone a request is answered."""
    began = time.monotonic()
    answer = await ask_once(server.port, SMALL_RED)
    while answer.status != 200 and time.monotonic() < began + 2:
        answer = await ask_once(server.port, SMALL_RED)
    assert answer.status == 200
    assert time.monotonic() < began + 2


async def test_slow_uploads_do_not_stop_the_probes(folder: Path) -> None:
    """They hold every permit; probes need none, and pictures are refused rather than kept waiting."""
    with start_service(model_dir=folder, models="colours", max_in_flight=64) as server:
        request = request_bytes("/classify", colour_picture("red"))
        uploads = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(64)]
        for _, writer in uploads:
            writer.write(request[:-10])
        refused = await ask_once(server.port, request)
        while refused.status == 200:  # the last uploads are on their way
            refused = await ask_once(server.port, request)
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        for probe in ("/livez", "/readyz", "/metrics"):
            began = time.monotonic()
            answer = await ask_once(server.port, request_bytes(probe, method="GET"))
            assert answer.status == 200
            assert time.monotonic() - began < 1
        for _, writer in uploads:
            writer.write(request[-10:])
        answers = [await read_answer(reader) for reader, _ in uploads]
        assert [answer.status for answer in answers] == [200] * 64
        for _, writer in uploads:
            writer.transport.abort()
