"""What every fleet promises: processes of this machine, directly and through a socket."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet_trials import Trial, eventually, running
from heliograph.adapters.fleet.control import FleetServer
from heliograph.adapters.fleet.socket import SocketFleet
from heliograph.core import errors
from heliograph.core.fleet import MAX_WORKERS, Fleet, FleetBounds
from heliograph.core.workers import WorkerState

pytestmark = pytest.mark.anyio


@dataclass
class Tried:
    """A fleet and what stands behind it."""

    fleet: Fleet
    trial: Trial


@pytest.fixture(params=["processes", "socket"])
async def tried(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Tried]:
    async with AsyncExitStack() as stack:
        trial = await stack.enter_async_context(running(Trial(bounds=FleetBounds(minimum=2, maximum=4))))
        fleet: Fleet = trial.fleet
        if request.param == "socket":
            path = tmp_path / "fleet.sock"
            await stack.enter_async_context(FleetServer(trial.fleet, path))
            fleet = SocketFleet(path)
        await trial.alive(2)
        yield Tried(fleet, trial)


async def states(fleet: Fleet) -> dict[str, WorkerState]:
    return {member.name: member.state for member in await fleet.members()}


async def test_members_are_listed_by_name_with_their_processes(tried: Tried) -> None:
    members = await tried.fleet.members()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert [member.name.rsplit("-", 1)[0] for member in members] == ["worker-1", "worker-2"]
    for member in members:
        os.kill(member.pid, 0)
        assert (member.state, member.reason) == (WorkerState.STARTING, "")
        assert member.host
        assert member.started_at > 1e9
    assert not tried.fleet.is_read_only


async def test_bounds_are_told_and_set(tried: Tried) -> None:
    assert await tried.fleet.bounds() == FleetBounds(minimum=2, maximum=4)
    action = await tried.fleet.scale(FleetBounds(minimum=3, maximum=6), who="me")
    assert (action.who, action.what, action.outcome) == ("me", "scaled to 3 to 6 workers", "ok")
    assert action.command == "heliograph up --min 3 --max 6"
    assert action.seconds == 0.0
    assert await tried.fleet.bounds() == FleetBounds(minimum=3, maximum=6)
    assert len(await tried.trial.alive(3)) == 3
    action = await tried.fleet.scale(FleetBounds(minimum=1, maximum=1), who="me")
    assert action.command == "heliograph up --workers 1"
    assert len(await tried.trial.alive(1)) == 1
    assert (
        await tried.fleet.scale(FleetBounds(minimum=0, maximum=0), who="me")
    ).what == "scaled to 0 workers"
    assert len(await tried.trial.alive(0)) == 0


@pytest.mark.parametrize(("minimum", "maximum"), [(3, 2), (-1, 2), (0, MAX_WORKERS + 1), (0, 10**30)])
async def test_bounds_that_contradict_each_other_are_refused(
    tried: Tried, minimum: int, maximum: int
) -> None:
    with pytest.raises(errors.ParameterInvalid):
        await tried.fleet.scale(FleetBounds(minimum=minimum, maximum=maximum), who="me")
    assert await tried.fleet.bounds() == FleetBounds(minimum=2, maximum=4)
    assert list(await tried.fleet.actions()) == []


async def test_a_worker_that_is_stopped_leaves_in_peace_and_is_replaced(tried: Tried) -> None:
    (first, second) = await tried.fleet.members()
    action = await tried.fleet.stop(first.name, who="me")
    assert (action.who, action.what) == ("me", f"stopping {first.name}")
    assert action.command == f"kill -TERM {first.pid}"
    assert (await states(tried.fleet))[first.name] in (WorkerState.STOPPING, WorkerState.GONE)
    await tried.trial.watcher.hears(f"{first.name} .* was stopped: it exited with status 0")
    assert tried.trial.watcher.has(f"{first.name} . leaving")
    gone = {member.name: member for member in await tried.fleet.members()}[first.name]
    assert (gone.state, gone.reason) == (WorkerState.GONE, "exited with status 0")
    alive = await tried.trial.alive(2)
    assert second.name in {member.name for member in alive}
    assert first.name not in {member.name for member in alive}
    assert tried.trial.released == [first.name]


async def test_one_that_stops_already_is_not_asked_twice(tried: Tried) -> None:
    (first, _) = await tried.fleet.members()
    os.kill(first.pid, signal.SIGSTOP)
    await tried.fleet.stop(first.name, who="me")
    action = await tried.fleet.stop(first.name, who="you")
    assert action.what == f"{first.name} is stopping already"
    os.kill(first.pid, signal.SIGCONT)
    await tried.trial.watcher.hears("was stopped: it exited with status 0")


@pytest.mark.parametrize("name", ["worker-9-0000", "", "\u00fc" * 60_000, "\x1b[2J", "ü\ud800"])
async def test_an_unknown_worker_is_told(tried: Tried, name: str) -> None:
    with pytest.raises(errors.HeliographError) as caught:
        await tried.fleet.stop(name, who="me")
    assert isinstance(caught.value, errors.WorkerUnknown)
    assert caught.value.message.isprintable()


async def test_one_that_is_gone_is_unknown(tried: Tried) -> None:
    (first, _) = await tried.fleet.members()
    await tried.fleet.stop(first.name, who="me")
    await eventually("it to be released", lambda: tried.trial.released == [first.name])
    with pytest.raises(errors.WorkerUnknown):
        await tried.fleet.stop(first.name, who="me")


async def test_actions_are_kept_newest_first_and_not_for_ever(tried: Tried) -> None:
    for maximum in range(2, 252):
        await tried.fleet.scale(FleetBounds(minimum=2, maximum=maximum), who=f"\x1b[2J{maximum}")
    actions = await tried.fleet.actions(limit=3)
    assert [action.what for action in actions] == [f"scaled to 2 to {n} workers" for n in (251, 250, 249)]
    assert all(action.who.isprintable() for action in actions)
    assert len(await tried.fleet.actions(limit=1000)) == 200
    assert len(await tried.fleet.actions(limit=0)) == 0
    assert actions[0].at >= actions[1].at > 1e9
