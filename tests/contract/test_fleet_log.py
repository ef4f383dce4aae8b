"""What was done to a fleet, as every gateway of a queue tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from heliograph.adapters.queue.redis_fleet_log import RedisFleetLog
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core import errors
from heliograph.core.fleet import FleetAction
from queue_servers import QueueServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def place(server: QueueServer) -> AsyncIterator[RedisServer]:
    place = RedisServer(server.url, "tried")
    yield place
    await place.close()


def action(number: int) -> FleetAction:
    return FleetAction(
        at=1.79e9 + number / 100,
        who="mé",
        what=f"scaled to {number} workers",
        command="kubectl",
        seconds=number / 8,
    )


async def test_it_tells_the_newest_first_and_keeps_so_many(place: RedisServer) -> None:
    first, second = RedisFleetLog(place), RedisFleetLog(place)
    assert list(await first.newest()) == []
    for number in range(203):
        await (first, second)[number % 2].add(action(number))
    assert list(await second.newest(limit=3)) == [action(202), action(201), action(200)]
    kept = await first.newest(limit=1000)
    assert (len(kept), kept[-1]) == (200, action(3))
    assert list(await first.newest(limit=0)) == list(await first.newest(limit=-1)) == []


async def test_one_that_is_sent_twice_is_there_once(place: RedisServer) -> None:
    log = RedisFleetLog(place)
    await log.add(action(1))
    await log.add(action(1))
    assert list(await log.newest()) == [action(1)]


async def test_one_from_before_actions_had_a_duration_took_none(place: RedisServer) -> None:
    log = RedisFleetLog(place)
    old = '{"at": 1.0, "who": "me", "what": "w", "command": "c", "outcome": "ok"}'
    await place.call("ZADD", place.keys.single("actions"), "1", old)
    assert list(await log.newest()) == [FleetAction(at=1.0, who="me", what="w", command="c", seconds=0.0)]


async def test_what_another_version_wrote_is_left_out(place: RedisServer) -> None:
    log = RedisFleetLog(place)
    await log.add(action(1))
    for text in ("{", "[]", '{"at": 1}', '{"at": 1, "who": "", "what": "", "command": "", "colour": ""}'):
        await place.call("ZADD", place.keys.single("actions"), "1", text)
    assert list(await log.newest()) == [action(1)]


async def test_a_server_that_is_full_or_gone_is_told(server: QueueServer, place: RedisServer) -> None:
    log = RedisFleetLog(place)
    with server.client() as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(errors.CapacityError):
        await log.add(action(1))
    server.kill()
    with pytest.raises(errors.QueueUnavailable):
        await log.newest()
