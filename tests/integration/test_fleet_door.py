"""The door to a fleet: a unix socket that takes any line from anybody who may open it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_trials import Trial, running
from heliograph.adapters.fleet import control, wire
from heliograph.adapters.fleet.control import FleetServer
from heliograph.adapters.fleet.processes import ProcessFleet
from heliograph.adapters.fleet.socket import SocketFleet
from heliograph.core import errors
from heliograph.core.fleet import FleetAction, FleetBounds

pytestmark = pytest.mark.anyio


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "fleet.sock"
    trial = Trial(bounds=FleetBounds(minimum=0, maximum=2))
    async with running(trial), FleetServer(trial.fleet, path):
        yield path


def idle_fleet() -> ProcessFleet:
    return Trial(bounds=FleetBounds(minimum=0, maximum=2)).fleet


async def send(door: Path, line: bytes) -> bytes:
    """All that is answered to these bytes, until the connection is closed."""
    reader, writer = await asyncio.open_unix_connection(door)
    try:
        writer.write(line)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:  # it was closed before all was read
        return b""
    finally:
        writer.close()


async def test_the_door_is_for_its_owner_alone_and_goes_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "fleet.sock"
    async with FleetServer(idle_fleet(), path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'"members"\n',
        b"\xff\xfe\n",
        b'{"call": "members"',
        b'{"call": ["members"]}\n',
        b'{"call": "close"}\n',
        b'{"call": "__class__"}\n',
        b'{"call": "stop", "name": 7, "who": "me"}\n',
        b'{"call": "stop", "name": "a"}\n',
        b'{"call": "scale", "minimum": "1", "maximum": 2, "who": "me"}\n',
        b'{"call": "scale", "minimum": 1.5, "maximum": 2, "who": "me"}\n',
        b'{"call": "scale", "minimum": NaN, "maximum": 2, "who": "me"}\n',
        b'{"call": "actions", "limit": null}\n',
        b'{"call": ' + b"9" * 60_000 + b"}\n",
        b"[" * 60_000 + b"\n",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"\n",
    ],
    ids=lambda line: repr(line[:30]),
)
async def test_what_is_not_understood_is_refused(door: Path, line: bytes) -> None:
    answer = await send(door, line)
    assert wire.message_of(answer)["error"]["code"] == "request-malformed"
    assert await SocketFleet(door).bounds() == FleetBounds(minimum=0, maximum=2)


async def test_a_line_without_end_is_not_read_to_the_end(door: Path) -> None:
    answer = await send(door, b"x" * (2 * wire.LINE_BYTES))
    assert answer == b"" or wire.message_of(answer)["error"]["code"] == "request-malformed"
    assert await SocketFleet(door).bounds() is not None


async def test_who_says_nothing_is_not_waited_for(door: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ANSWER_SECONDS", 0.05)
    reader, writer = await asyncio.open_unix_connection(door)
    assert await reader.read() == b""
    writer.close()


async def test_too_many_who_say_nothing_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "fleet.sock"
    async with FleetServer(idle_fleet(), path):
        talks = [await asyncio.open_unix_connection(path) for _ in range(control.MAX_CONNECTIONS)]
        with pytest.raises(errors.FleetUnavailable):
            await SocketFleet(path).bounds()
        for _, writer in talks:
            writer.close()
    for reader, _ in talks:
        assert await reader.read() == b""


async def test_a_long_list_is_told_whole(door: Path) -> None:
    fleet = SocketFleet(door)
    for _ in range(200):
        await fleet.scale(FleetBounds(minimum=0, maximum=2), who="é" * 300)
    assert len(await fleet.actions(limit=200)) == 200


async def test_how_long_an_action_took_is_told(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        action = FleetAction(at=1.0, who="me", what="stopping a", command="kill", seconds=1.5)
        for message in (wire.item_of(action), {"end": True}):
            writer.write(wire.line_of(message))
        writer.close()

    path = tmp_path / "fleet.sock"
    async with await asyncio.start_unix_server(speak, path):
        assert (await SocketFleet(path).stop("a", who="me")).seconds == 1.5


async def test_nobody_behind_the_door_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fleet.sock"
    with pytest.raises(errors.FleetUnavailable, match="does not answer"):
        await SocketFleet(path).members()
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
        with pytest.raises(errors.FleetUnavailable, match="does not answer"):
            await SocketFleet(path).members()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
        b'{"end": false}\n',
        b'{"item": 7}\n{"end": true}\n',
        b'{"item": {"name": "a"}}\n{"end": true}\n',
        b'{"item": {}}\n' * (wire.ANSWER_LINES + 1),
        b"x" * (wire.LINE_BYTES + 1) + b"\n",
    ],
    ids=lambda answer: repr(answer[:30]),
)
async def test_an_answer_that_makes_no_sense_is_told(tmp_path: Path, answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    path = tmp_path / "fleet.sock"
    async with await asyncio.start_unix_server(speak, path):
        with pytest.raises(errors.FleetUnavailable):
            await SocketFleet(path).members()
        with pytest.raises(errors.FleetUnavailable):
            await SocketFleet(path).stop("a", who="me")


async def test_an_answer_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliograph.adapters.fleet.socket.ANSWER_SECONDS", 0.05)
    path = tmp_path / "fleet.sock"
    with closing(socket.socket(socket.AF_UNIX)) as mute:
        mute.bind(str(path))
        mute.listen()
        with pytest.raises(errors.FleetUnavailable, match="too long"):
            await SocketFleet(path).members()
