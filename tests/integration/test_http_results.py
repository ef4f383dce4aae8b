"""Results over HTTP: what they hold while their clients read, and what costs no reading at all."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from heliograph.api import connections
from heliograph.bootstrap.parts import clock
from heliograph.core.jobs import JobResult
from heliograph.core.queue import QueueRules
from heliograph.serving.admission import Admission
from integration.applications import application
from integration.job_desks import Desk, desk, on_socket
from integration.raw_http import ask_once, read_answer, request_bytes
from integration.tiny_models import colour_picture, write_models
from queue_trials import MemoryTrial

RED = colour_picture("red")
LARGE = JobResult(data=bytes(range(256)) * 40_000, media_type="image/png")
"""More than a socket's buffers take."""
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def front(folder: Path) -> AsyncIterator[Desk]:
    """An application that has room for two large results, and three permits."""
    async with desk(folder, MemoryTrial(QueueRules())) as running:
        admission = Admission(max_in_flight=3, max_body_bytes=5 * len(LARGE.data) // 2, clock=clock)
        running.services = replace(running.services, admission=admission)
        yield running


async def path_of_large(front: Desk) -> str:
    """Where a large result is."""
    (job_id,) = await front.ids(RED)
    await front.answer(LARGE)
    return f"/v1/jobs/{job_id}/result"


@asynccontextmanager
async def slow_reader(port: int, request: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A client that asks and takes next to nothing until it is read from; it goes away at the end."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=4096)
    writer.write(request)
    try:
        yield reader
    finally:
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def until(what: str, condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails with ``what`` if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        await asyncio.sleep(0.01)


async def test_what_slow_readers_hold_is_bounded(front: Desk) -> None:
    path = await path_of_large(front)
    admission = front.services.admission
    async with on_socket(front.services) as server:
        ask = request_bytes(path, method="GET")
        async with slow_reader(server.port, ask), slow_reader(server.port, ask) as second:
            await until("two that are sent", lambda: admission.in_flight == 2)
            refused = await ask_once(server.port, ask)
            assert (refused.status, b"overloaded" in refused.body) == (503, True)
            assert int(refused.headers["retry-after"]) >= 1
            assert admission.in_flight == 2
            answer = await read_answer(second)
            assert (answer.status, answer.body) == (200, LARGE.data)
            await until("the second's permit", lambda: admission.in_flight == 1)
            assert (await ask_once(server.port, ask)).body == LARGE.data
        await until("the permit of who left", lambda: admission.in_flight == 0)
        assert (await ask_once(server.port, ask)).body == LARGE.data


async def test_who_reads_nothing_is_cut_off_and_gives_its_permit_back(
    front: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.2)
    path = await path_of_large(front)
    admission = front.services.admission
    ask = request_bytes(path, method="GET")
    async with on_socket(front.services) as server, slow_reader(server.port, ask):
        await until("the result that is sent", lambda: admission.in_flight == 1)
        await until("the end of the connection", lambda: admission.in_flight == 0)
        admission.hold_bytes(5 * len(LARGE.data) // 2)  # nothing of it is held any more


async def test_cut_outs_on_their_way_count_as_bytes_and_hold_no_permit(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    picture = cv2.imencode(".jpg", noise)[1].tobytes()
    ask = request_bytes("/remove-background", picture)
    async with application(folder) as running:
        admission = Admission(max_in_flight=1, max_body_bytes=len(picture) + 4_000_000, clock=clock)
        services = replace(running.services, admission=admission)
        async with on_socket(services) as server:
            whole = (await ask_once(server.port, ask)).body
            assert len(whole) > 5_000_000
            async with slow_reader(server.port, ask) as reader:
                await until("an answer that is sent", lambda: admission.held_bytes == len(whole))
                assert admission.in_flight == 0
                refused = await ask_once(server.port, ask)
                assert (refused.status, b"Uploads and answers hold" in refused.body) == (503, True)
                assert (await read_answer(reader)).body == whole
                await until("its end", lambda: admission.held_bytes == 0)
            assert (await ask_once(server.port, ask)).status == 200


async def test_only_who_gets_a_result_has_it_read(front: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await path_of_large(front)
    with front.services.admission.admit(), front.services.admission.admit():
        async with on_socket(front.services) as server:
            known = (await ask_once(server.port, request_bytes(path, method="GET"))).headers["etag"]

            async def result(job_id: str) -> None:
                raise AssertionError("it is read")

            monkeypatch.setattr(front.trial.desk, "result", result)
            with front.services.admission.admit():  # the last; nor does it take one
                for headers in ({"If-None-Match": known}, {"If-None-Match": "*"}):
                    asked = request_bytes(path, method="GET", headers=headers)
                    same = await ask_once(server.port, asked)
                    assert (same.status, same.headers["etag"], same.body) == (304, known, b"")
                head = await ask_once(server.port, request_bytes(path, method="HEAD"))
                assert (head.status, head.headers["etag"], "content-length" in head.headers) == (
                    200,
                    known,
                    False,
                )
                refused = await ask_once(server.port, request_bytes(path, method="GET"))
                assert (refused.status, b"overloaded" in refused.body) == (503, True)


async def test_a_result_that_goes_while_it_is_asked_for_is_expired(
    front: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await path_of_large(front)

    async def result(job_id: str) -> None:
        return None

    monkeypatch.setattr(front.trial.desk, "result", result)
    async with on_socket(front.services) as server:
        gone = await ask_once(server.port, request_bytes(path, method="GET"))
    assert (gone.status, b"result-expired" in gone.body) == (410, True)
    assert front.services.admission.in_flight == 0


async def test_log_lines_name_job_and_group(front: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heliograph.access")
    receipt = (await front.send(RED, headers={"X-Request-ID": "sent"})).json()
    group, job = receipt["group"], receipt["jobs"][0]["id"]
    await front.answer(LARGE)
    await front.client.get(f"/v1/jobs/{job}", headers={"X-Request-ID": "seen"})
    await front.client.get(f"/v1/jobs/{job}/result", headers={"X-Request-ID": "read"})
    await front.client.get(f"/v1/groups/{group}", headers={"X-Request-ID": "group"})
    await front.client.delete(f"/v1/jobs/{job}", headers={"X-Request-ID": "removed"})
    await front.client.get(f"/v1/jobs/{job}/result", headers={"X-Request-ID": "late"})
    await front.client.get("/v1/jobs/" + "x" * 3000, headers={"X-Request-ID": "hostile"})
    await front.client.get("/v1/models", headers={"X-Request-ID": "other"})
    lines = {vars(record)["request_id"]: vars(record) for record in caplog.records}
    told = {name: (line.get("group"), line.get("job")) for name, line in lines.items()}
    assert told == {
        "sent": (group, None),
        "seen": (group, job),
        "read": (group, job),
        "group": (group, None),
        "removed": (group, job),
        "late": (None, job),
        "hostile": (None, told["hostile"][1]),
        "other": (None, None),
    }
    assert len(told["hostile"][1] or "") < 500
