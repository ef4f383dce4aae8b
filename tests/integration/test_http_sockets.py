"""What only real sockets show: slow, endless and broken uploads, clients that leave, ports."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from integration.raw_http import ask_once, read_answer, request_bytes
from integration.tiny_models import colour_picture, write_models
from service import Service, start_service, wait_for

PICTURE = colour_picture("red")
RED = request_bytes("/classify", PICTURE)
SLOW_RED = request_bytes("/v1/models/slow-colours/predict", PICTURE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Service]:
    with start_service(
        model_dir=folder,
        models="colours,slow-colours",
        threads=1,
        ops_port=0,
        max_request_bytes=100_000,
        upload_timeout_seconds=0.5,
        max_connections=100,
        keep_alive_seconds=1,
    ) as running:
        yield running


def counted(server: Service, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have the labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.get("/metrics").text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_a_slow_body_is_refused_and_its_connection_closed(server: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(RED[:-10])
    answer = await read_answer(reader)
    assert (answer.status, json.loads(answer.body)["code"]) == (408, "request-too-slow")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert await reader.read() == b""
    writer.close()


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(server: Service) -> None:
    request = request_bytes("/classify", headers={"Content-Length": "100001", "Expect": "100-continue"})
    answer = await ask_once(server.port, request)
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "request-too-large")


async def test_an_endless_body_is_cut_off(server: Service) -> None:
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await ask_once(server.port, head + 20 * chunk)
    assert (answer.status, json.loads(answer.body)["code"]) == (413, "request-too-large")
    assert (await ask_once(server.port, RED)).status == 200


@pytest.mark.parametrize("size", ["-1", "1e3", "1" * 5000, "5, 6"])
async def test_a_senseless_length_is_a_bad_request(server: Service, size: str) -> None:
    answer = await ask_once(server.port, request_bytes("/classify", headers={"Content-Length": size}))
    assert answer.status in (400, 413)


@pytest.mark.parametrize("request_line", ["GET /\u00e9 HTTP/1.1", "GET / HTTP/9", "gibberish"])
async def test_bytes_that_are_no_http_are_answered_with_a_problem(server: Service, request_line: str) -> None:
    answer = await ask_once(server.port, f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "request-malformed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"


async def test_who_would_rather_speak_another_protocol_is_answered_in_this_one(server: Service) -> None:
    """Java's client asks for ``h2c`` with its first request on a connection, whatever that carries."""
    before = server.log()
    for protocol in ("websocket", "h2c"):
        upgrade = {
            "Connection": "Upgrade, HTTP2-Settings",
            "Upgrade": protocol,
            "HTTP2-Settings": "AAEAAEAAAA",
        }
        asked = request_bytes("/classify", PICTURE, headers=upgrade)
        looked = request_bytes("/v1/models", method="GET", headers=upgrade)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(asked + looked + RED)  # also all at once
        whole = [(await read_answer(reader)).status for _ in range(3)]
        for byte in range(0, len(asked), 7):
            writer.write(asked[byte : byte + 7])
            await writer.drain()
        assert [*whole, (await read_answer(reader)).status] == [200] * 4
        writer.close()
    last = {"Connection": "Upgrade, close", "Upgrade": "h2c"}
    for tail in (b"", b"more"):
        answer = await ask_once(server.port, request_bytes("/classify", PICTURE, headers=last) + tail)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
    refused = await ask_once(server.port, b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert refused.status == 400
    assert "upgrade" not in server.log()[len(before) :].lower()


async def test_many_wishes_for_another_protocol_in_a_row(server: Service) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "x"}
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(1500 * request_bytes("/livez", method="GET", headers=upgrade))
    assert {(await read_answer(reader)).status for _ in range(1500)} == {200}
    writer.close()


async def test_what_is_no_http_behind_a_request_does_not_disturb_its_answer(server: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(SLOW_RED + RED + b"gibberish\r\n\r\n")
    assert [(await read_answer(reader)).status for _ in range(2)] == [200, 200]
    assert await reader.read() == b""
    writer.close()
    chunked = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
    assert (await ask_once(server.port, chunked)).status == 400


async def test_requests_in_a_row_on_one_connection(server: Service) -> None:
    """Also sent all at once, and also after a refusal whose body was never read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(RED + request_bytes("/classify", b"x" * 100_001) + RED)
    assert [(await read_answer(reader)).status for _ in range(3)] == [200, 413, 200]
    writer.close()


async def test_a_client_that_leaves_costs_no_engine_time(server: Service) -> None:
    """One slow picture computes, one batch is formed ahead; the others wait, and their clients leave."""
    batches = counted(server, "heliograph_batch_size_sum", model="slow-colours")
    dropped = counted(server, "heliograph_entries_dropped_total", reason="cancelled")
    connections = []
    for _ in range(12):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(SLOW_RED)
        connections.append((reader, writer))
    assert (await read_answer(connections[0][0])).status == 200
    for _, writer in connections:
        writer.transport.abort()
    await asyncio.to_thread(wait_for, "nothing in flight", lambda: _in_flight(server) == 0)
    computed = counted(server, "heliograph_batch_size_sum", model="slow-colours") - batches
    left = counted(server, "heliograph_entries_dropped_total", reason="cancelled") - dropped
    assert computed < 12
    assert left > 0
    gone = counted(server, "heliograph_http_requests_total", status="499")
    assert gone >= left
    assert counted(server, "heliograph_pictures_total", outcome="cancelled") >= left


def _in_flight(server: Service) -> float:
    return counted(server, "heliograph_requests_in_flight")


async def test_an_idle_connection_is_closed(server: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await asyncio.wait_for(_read_to_end(reader), 5) == b""
    writer.close()


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_one_connection_too_many_is_closed_and_harms_no_other(server: Service) -> None:
    """The idle ones keep their place, and whoever was in before is still answered."""
    first, first_writer = await asyncio.open_connection("127.0.0.1", server.port)
    first_writer.write(RED)
    assert (await read_answer(first)).status == 200
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(110)]
    ends = [asyncio.create_task(_read_to_end(reader)) for reader, _ in crowd]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    first_writer.write(RED)
    assert (await read_answer(first)).status == 200
    for _, writer in [(first, first_writer), *crowd]:
        writer.transport.abort()
    await asyncio.gather(*ends)


def test_one_model_that_answers_is_enough_and_the_operations_port_has_the_probes(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with start_service(model_dir=folder, models="absent,colours", ops_port=port) as server:
        assert server.get("/readyz").json()["models"] == {"absent": "unavailable", "colours": "ready"}
        server.port = port
        assert server.status("/startupz") == 200
        assert server.status("/metrics") == 200
        assert server.status("/v1/models") == 404


def test_without_a_model_that_answers_it_is_never_ready(folder: Path) -> None:
    with start_service(model_dir=folder, models="absent", until="/startupz") as server:
        probe = server.get("/readyz")
        assert (probe.status_code, probe.json()["status"]) == (503, "no-model")
        assert int(probe.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/models/nope/predict", 404), ("/classify", 413), ("/livez", 405)]
)
async def test_an_early_refusal_reaches_a_client_that_still_sends(
    server: Service, path: str, status: int
) -> None:
    """It closes its connection with the answer; bytes left unread would turn the answer into a reset."""
    request = request_bytes(path, bytes(8_000_000), headers={"Connection": "close"})
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request)
        await writer.drain()
        assert (await read_answer(reader)).status == status
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_head_without_end_harms_nobody(server: Service) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")

    async def go_on() -> None:
        for _ in range(1000):
            writer.write(b"x" * 65_536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await go_on()
    assert server.status("/livez") == 200
