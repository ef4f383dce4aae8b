"""A stop loses nothing that was taken: real process, real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.raw_http import ask_once, read_answer, request_bytes
from integration.tiny_models import colour_picture, write_models
from service import Service, start_service, wait_for

RED = request_bytes("/classify", colour_picture("red"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def server(folder: Path) -> Iterator[Service]:
    with start_service(model_dir=folder, models="colours", drain_seconds=0.5) as running:
        yield running


async def keep_asking(port: int, seen: Counter[str], *, keep_alive: bool) -> None:
    """A closed loop until nobody listens; every connection that was made must get its whole answer."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return
        try:
            open_for_more = True
            while open_for_more:
                writer.write(RED)
                answer = await read_answer(reader)
                assert answer.status == 200, answer
                assert json.loads(answer.body)[0]["label"] == "red"
                seen["answered"] += 1
                closes = answer.headers.get("connection") == "close"
                seen["told to go"] += closes
                open_for_more = keep_alive and not closes
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            seen[f"lost: {error!r}"] += 1
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def stop_under_load(server: Service, *, keep_alive: bool) -> Counter[str]:
    seen: Counter[str] = Counter()
    clients = [asyncio.create_task(keep_asking(server.port, seen, keep_alive=keep_alive)) for _ in range(8)]
    await asyncio.to_thread(wait_for, "load", lambda: seen["answered"] >= 100)
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)
    assert await asyncio.to_thread(server.process.wait, 10) == 0
    return seen


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_under_load_every_accepted_connection_gets_its_answer(
    server: Service, keep_alive: bool
) -> None:
    began = time.monotonic()
    seen = await stop_under_load(server, keep_alive=keep_alive)
    assert not [what for what in seen if what.startswith("lost")], seen
    assert seen["told to go"] > 0
    assert time.monotonic() - began < 15


async def test_a_request_that_arrives_late_on_an_accepted_connection_is_answered(folder: Path) -> None:
    """Half a second after the signal: the listener is closed by then."""
    with start_service(model_dir=folder, models="colours", drain_seconds=0.1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await ask_once(server.port, RED)).status == 200  # accepted after the idle one
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        writer.write(RED)
        answer = await read_answer(reader)
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        assert await reader.read() == b""
        writer.close()
        assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_while_it_drains_it_is_not_ready_and_still_answers(folder: Path) -> None:
    with start_service(model_dir=folder, models="colours", drain_seconds=20) as server:
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(wait_for, "not ready", lambda: server.status("/readyz") == 503)
        probe = server.get("/readyz")
        assert probe.json()["status"] == "stopping"
        assert int(probe.headers["retry-after"]) >= 1
        assert server.status("/livez") == 200
        assert (await ask_once(server.port, RED)).status == 200


def test_an_upload_on_its_way_is_finished(server: Service) -> None:
    async def play() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(RED[:-20])
        await ask_once(server.port, RED)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(2.5)  # past the drain and the settling
        writer.write(RED[-20:])
        assert (await read_answer(reader)).status == 200
        writer.close()

    asyncio.run(play())
    assert server.process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_within_seconds(server: Service, number: int) -> None:
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < 4


def test_a_second_ctrl_c_ends_at_once(folder: Path) -> None:
    with start_service(model_dir=folder, models="colours", drain_seconds=60) as server:
        server.process.send_signal(signal.SIGINT)
        wait_for("not ready", lambda: server.status("/readyz") == 503)
        assert server.stop(signal.SIGINT) == -signal.SIGINT


def test_a_stop_while_models_load_is_clean(folder: Path) -> None:
    with start_service(
        model_dir=folder, models="slow-colours,colours", until="/livez", drain_seconds=0
    ) as server:
        assert server.stop() == 0
        assert "Traceback" not in server.log()
