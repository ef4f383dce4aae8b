"""A connection costs nothing for long: slow heads and slow readers are cut off (in fake time)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import looptime
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from heliograph.api.connections import (
    HEAD_SECONDS,
    MAX_HEAD_BYTES,
    REST_SECONDS,
    STALL_BYTES,
    STALL_SECONDS,
    Connection,
)

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


class Transport(asyncio.Transport):
    """A transport whose client takes as much as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 0
        self.aborted = self.closing = False

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: object) -> None:
        """What is written is not looked at."""

    def pause_reading(self) -> None:
        """A test gives what it likes all the same."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def close(self) -> None:
        self.closing = True
        if not self.left:
            self.abort()

    def is_closing(self) -> bool:
        return self.closing or self.aborted


def connect(
    max_connections: int | None = None,
    state: ServerState | None = None,
    *,
    answers_at_once: bool = False,
    app: Any = None,
) -> tuple[Connection, Transport]:
    async def usual_app(
        scope: object,
        receive: Callable[[], Coroutine[object, object, object]],
        send: Callable[[dict[str, object]], Coroutine[object, object, None]],
    ) -> None:
        if answers_at_once:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await receive()
        await receive()  # the client goes away

    config = Config(
        app or usual_app,
        http=Connection,
        log_config=None,
        limit_concurrency=max_connections,
        timeout_keep_alive=75,
    )
    config.load()
    connection = Connection(config, state or ServerState(), {}, asyncio.get_running_loop())
    transport = Transport()
    connection.connection_made(transport)
    return connection, transport


def in_fake_time(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(scenario())


@pytest.mark.parametrize(("sent", "patience"), [(b"", 75.0), (b"G", HEAD_SECONDS), (HEAD, HEAD_SECONDS)])
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes, patience: float) -> None:
    async def scenario() -> None:
        connection, transport = connect()
        if sent:
            connection.data_received(sent)
        await asyncio.sleep(patience - 0.5)
        assert not transport.aborted
        await asyncio.sleep(1)
        assert transport.aborted

    in_fake_time(scenario)


def test_trickling_a_head_does_not_prolong_it() -> None:
    async def scenario() -> None:
        connection, transport = connect()
        connection.data_received(HEAD)
        for number in range(int(HEAD_SECONDS) + 1):
            await asyncio.sleep(1)
            if not transport.aborted:
                connection.data_received(b"X-%d: 1\r\n" % number)
        assert transport.aborted

    in_fake_time(scenario)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", b"x" * 1000),
        (HEAD + b"X: ", b"x" * 1000),
        (HEAD, b"x: y\r\n" * 100),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 100),
    ],
    ids=["address", "value", "fields", "trailers"],
)
def test_a_head_without_end_is_not_kept(start: bytes, piece: bytes) -> None:
    async def scenario() -> None:
        connection, transport = connect()
        connection.data_received(start)
        for _ in range(2 * MAX_HEAD_BYTES // len(piece)):
            if not transport.aborted:
                connection.data_received(piece)
        assert transport.aborted
        connection.connection_lost(None)
        await asyncio.sleep(0)

    in_fake_time(scenario)


def test_a_body_that_trickles_on_after_its_answer_ends() -> None:
    async def scenario() -> None:
        connection, transport = connect(answers_at_once=True)
        connection.data_received(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(int(REST_SECONDS) + 1):
            await asyncio.sleep(1)
            if not transport.aborted:
                connection.data_received(b"x")
        assert transport.aborted

    in_fake_time(scenario)


def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    async def scenario() -> None:
        connection, transport = connect()
        transport.left = 1000
        connection.pause_writing()
        await asyncio.sleep(STALL_SECONDS - 1)
        assert not transport.aborted
        await asyncio.sleep(2)
        assert transport.aborted

    in_fake_time(scenario)


def test_a_slow_reader_that_takes_something_is_not() -> None:
    async def scenario() -> None:
        connection, transport = connect()
        connection.data_received(HEAD + b"\r\n")
        transport.left = 100 * STALL_BYTES
        connection.pause_writing()
        for _ in range(10):
            await asyncio.sleep(STALL_SECONDS / 2)
            transport.left -= STALL_BYTES
        assert not transport.aborted
        connection.resume_writing()
        await asyncio.sleep(10 * STALL_SECONDS)
        assert not transport.aborted
        connection.connection_lost(None)
        await asyncio.sleep(0)

    in_fake_time(scenario)


@pytest.mark.parametrize(("end", "before"), [("answer", 0.0), ("idle", 75.0), ("stop", 0.0)])
def test_what_is_left_when_a_connection_is_to_be_closed_has_its_time_and_not_more(
    end: str, before: float
) -> None:
    async def scenario() -> None:
        connection, transport = connect(answers_at_once=True)
        transport.left = 1000
        connection.data_received(HEAD + (b"Connection: close\r\n" if end == "answer" else b"") + b"\r\n")
        await asyncio.sleep(0.1)
        if end == "stop":
            connection.shutdown()
        await asyncio.sleep(before + STALL_SECONDS - 1)
        assert (transport.is_closing(), transport.aborted) == (True, False)
        await asyncio.sleep(2)
        assert transport.aborted

    in_fake_time(scenario)


def test_a_slow_reader_of_a_last_answer_has_its_time_from_the_end_of_the_rush() -> None:
    async def scenario() -> None:
        connection, transport = connect(answers_at_once=True)
        transport.left = 100 * STALL_BYTES
        connection.data_received(HEAD + b"Connection: close\r\n\r\n")
        connection.pause_writing()
        await asyncio.sleep(STALL_SECONDS - 1)
        transport.left = 1000
        connection.resume_writing()
        await asyncio.sleep(STALL_SECONDS - 1)
        assert not transport.aborted
        await asyncio.sleep(2)
        assert transport.aborted

    in_fake_time(scenario)


def test_all_requests_of_a_connection_hear_of_its_end_and_none_is_begun_after_it() -> None:
    async def scenario() -> None:
        seen: list[str] = []

        async def app(
            scope: dict[str, object],
            receive: Callable[[], Coroutine[object, object, dict[str, object]]],
            send: object,
        ) -> None:
            while (message := await receive())["type"] != "http.disconnect":
                seen.append(f"{scope['path']} {message['type']}")
            seen.append(f"{scope['path']} {message['type']}")

        connection, _ = connect(app=app)
        for path in (b"/1", b"/2", b"/3"):
            connection.data_received(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
        await asyncio.sleep(0.1)
        connection.connection_lost(ConnectionResetError())
        await asyncio.sleep(0.1)
        assert seen == ["/1 http.request", "/1 http.disconnect"]

    in_fake_time(scenario)


def test_one_connection_too_many_is_closed_at_once() -> None:
    async def scenario() -> None:
        state = ServerState()
        assert [connect(2, state)[1].aborted for _ in range(3)] == [False, False, True]

    in_fake_time(scenario)
