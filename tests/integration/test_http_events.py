"""The stream of events over real sockets: its form, its resumption, its bounds and its end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.api import events
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from integration.job_desks import LABELLED, WORKER, Desk, desk, on_socket, stream
from integration.raw_http import ask_once, request_bytes
from integration.tiny_models import colour_picture, write_models
from queue_servers import queue_server
from queue_trials import MemoryTrial, RedisTrial

RED = colour_picture("red")
EVENTS = request_bytes("/v1/events", method="GET")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def front(folder: Path) -> AsyncIterator[Desk]:
    async with desk(folder, MemoryTrial(QueueRules()), max_streams=4) as running:
        yield running


async def test_a_stream_tells_the_life_of_a_job(front: Desk) -> None:
    info = WorkerInfo(name=WORKER, state=WorkerState.READY, host="here", pid=7, models={"colours": "ready"})
    await front.trial.source.beat(info)
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        assert (listener.status, listener.headers["content-type"]) == (
            200,
            "text/event-stream; charset=utf-8",
        )
        assert listener.headers["cache-control"] == "no-cache"
        assert listener.headers["x-accel-buffering"] == "no"
        assert "content-length" not in listener.headers
        assert (await listener._block()) == {"retry": "2000"}
        snapshot = await listener.next()
        assert snapshot["event"] == "snapshot"
        assert snapshot["data"]["queue"]["backlog"]["bulk"]["waiting"] == 0
        assert snapshot["data"]["workers"] == [
            {"name": WORKER, "state": "ready", "models": {"colours": "ready"}, "holding": 0, "finished": 0}
        ]
        (job_id,) = await front.ids(RED)
        await front.answer(LABELLED)
        told = await listener.until("done")
        assert [one["event"] for one in told] == ["accepted", "started", "done"]
        assert {tuple(one["data"]["jobs"]) for one in told} == {(job_id,)}
        assert [one["data"]["worker"] for one in told] == [None, WORKER, WORKER]
        assert told[2]["data"]["at"].endswith("Z")
        await front.trial.source.release(WORKER)
        down = await listener.next()
        assert (down["event"], down["data"]["worker"]) == ("worker-down", WORKER)


async def test_a_stream_tells_the_numbers(front: Desk) -> None:
    info = WorkerInfo(name=WORKER, state=WorkerState.READY, host="here", pid=7)
    await front.trial.source.beat(info)
    await front.ids(RED, RED)
    await front.answer(LABELLED)
    await front.ids(RED)
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        await listener.until("snapshot")
        told = await listener.next_of_all()
        assert told.keys() == {"event", "data"}  # without an id: a client comes back to the last event
        data = told["data"]
        assert data.pop("at").endswith("Z")
        assert 0.0 < data.pop("p95_seconds") < 60.0
        states = {"starting": 0, "ready": 1, "busy": 0, "stopping": 0, "gone": 0}
        numbers = {"waiting": 1, "running": 0, "accepted": 3, "finished": 2, "dead": 0}
        assert (told["event"], data) == ("numbers", {**numbers, "workers": states})


async def test_a_stream_is_resumed_by_header_and_by_query(front: Desk) -> None:
    async with on_socket(front.services) as socket:
        async with stream(socket.port) as listener:
            await listener.until("snapshot")
            await front.ids(RED)
            last = (await listener.next())["id"]
        missed = await front.ids(RED)
        async with stream(socket.port, Last_Event_ID=last) as listener:
            assert (await listener.next())["data"]["jobs"] == missed
        async with stream(socket.port, path=f"/v1/events?last_event_id={last}") as listener:
            assert (await listener.next())["data"]["jobs"] == missed
        for unknown in ("1-1", "x", "%00", "9" * 3000):
            async with stream(socket.port, Last_Event_ID=unknown) as listener:
                assert [one["event"] for one in await listener.until("snapshot")] == ["reset", "snapshot"]


async def test_streams_are_bounded_and_a_client_that_leaves_makes_room(front: Desk) -> None:
    async with on_socket(front.services) as socket:
        async with (
            stream(socket.port) as first,
            stream(socket.port),
            stream(socket.port),
            stream(socket.port),
        ):
            await first.until("snapshot")
            refused = await ask_once(socket.port, EVENTS)
            assert (refused.status, b"overloaded" in refused.body) == (503, True)
            assert int(refused.headers["retry-after"]) >= 1
            assert front.services.admission.in_flight == 0

        async def fits() -> bool:
            async with stream(socket.port) as again:
                return again.status == 200

        deadline = time.monotonic() + 20
        while not await fits():
            assert time.monotonic() < deadline
        head = await ask_once(socket.port, request_bytes("/v1/events", method="HEAD"))
        assert head.headers["content-type"].startswith("text/event-stream")


async def test_a_stop_ends_streams_at_once(front: Desk) -> None:
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        await listener.until("snapshot")
        began = time.monotonic()
        socket.stop.set()
        await listener.end()
        await socket.serving
        assert time.monotonic() - began < 4


async def test_a_stream_that_is_opened_while_the_process_stops_ends_at_once(front: Desk) -> None:
    async with on_socket(front.services) as socket:
        front.services.lifecycle.drain()
        async with stream(socket.port) as listener:
            assert (listener.status, listener.headers["connection"]) == (200, "close")
            await listener.end()


async def test_a_client_that_reads_nothing_harms_nobody(front: Desk) -> None:
    async with (
        on_socket(front.services) as socket,
        stream(socket.port),
        stream(socket.port) as listener,
    ):
        await listener.until("snapshot")
        for _ in range(3):
            await front.ids(*[RED] * 500)
            await front.answer(LABELLED)
        await listener.until("accepted", "started", "done")


async def test_a_stream_counts_as_a_request_that_was_answered_when_it_began(front: Desk) -> None:
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        await listener.until("snapshot")
        began = time.monotonic()
        while (lasted := time.monotonic() - began) < 0.3:
            await front.ids(RED)
        socket.stop.set()
        await listener.end()
    text = front.services.metrics.render()[0].decode()
    (line,) = (
        line
        for line in text.splitlines()
        if line.startswith("heliograph_http_request_seconds_sum") and "/v1/events" in line
    )
    assert float(line.split()[-1]) < lasted


async def test_silence_is_broken_by_a_comment(front: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_SECONDS", 0.05)
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        await listener.until("snapshot")
        while "\n\n" not in listener.rest:
            listener.rest += await listener._chunk()
        assert listener.rest.startswith(":")


async def test_an_outage_of_the_server_behind_the_queue_is_told(folder: Path) -> None:
    with queue_server("valkey") as server:
        trial = RedisTrial(QueueRules(), server)
        async with (
            desk(folder, trial) as front,
            on_socket(front.services) as socket,
            stream(socket.port) as listener,
        ):
            await listener.until("snapshot")
            await front.ids(RED)
            assert (await listener.next())["event"] == "accepted"
            server.kill()
            outage = await listener.next()
            assert (outage["event"], outage["data"]["code"]) == ("queue-unavailable", "queue-unavailable")
            server.start()
            assert [one["event"] for one in await listener.until("snapshot")] == ["reset", "snapshot"]
            ids = await front.ids(RED)
            assert (await listener.next())["data"]["jobs"] == ids
        await trial.close()
