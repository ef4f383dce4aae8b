"""What operators see of a fleet, and what everybody hears of a change."""

from __future__ import annotations

import pytest

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.core import errors
from heliograph.core.events import Event, EventKind
from heliograph.core.fleet import FleetAction, FleetBounds, FleetMember
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.fleet import FleetView, HeartbeatFleet

pytestmark = pytest.mark.anyio
TWO = FleetBounds(minimum=2, maximum=2)


class ListedFleet:
    """A fleet of these members, in which only `a` can be stopped."""

    is_read_only = False

    def __init__(self, *members: FleetMember) -> None:
        self._members = members

    async def members(self) -> tuple[FleetMember, ...]:
        return self._members

    async def bounds(self) -> FleetBounds | None:
        return TWO

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        return FleetAction(at=1.0, who=who, what=f"scaled to {bounds}", command="")

    async def stop(self, name: str, *, who: str) -> FleetAction:
        if name != "a":
            raise errors.WorkerUnknown
        return FleetAction(at=1.0, who=who, what=f"stopping {name}", command="")

    async def actions(self, *, limit: int = 100) -> tuple[FleetAction, ...]:
        return ()


class Scene:
    """A queue in memory, some of whose workers are heard of."""

    def __init__(self, *members: FleetMember) -> None:
        queue = MemoryQueue(QueueRules(), lambda: 100.0)
        self.desk = MemoryDesk(queue)
        self.source = MemorySource(queue)
        self.view = FleetView(ListedFleet(*members), self.desk)

    async def events(self) -> list[Event]:
        return [e for e in (await self.desk.events("0-0")).events if e.kind is EventKind.FLEET]


def member(name: str, state: WorkerState = WorkerState.STARTING, reason: str = "") -> FleetMember:
    return FleetMember(name=name, state=state, host="here", pid=7, started_at=90.0, reason=reason)


def info(name: str, state: WorkerState = WorkerState.BUSY) -> WorkerInfo:
    return WorkerInfo(
        name=name,
        state=state,
        host="there",
        pid=8,
        models={"m": "ready"},
        holding=3,
        finished=5,
        started_at=91.0,
    )


async def test_what_is_known_from_both_sides_is_one_worker() -> None:
    scene = Scene(member("a"), member("c"))
    await scene.source.beat(info("b"))
    await scene.source.beat(info("a"))
    status = await scene.view.status()
    assert (status.bounds, status.is_read_only) == (TWO, False)
    a, b, c = status.workers
    assert (a.name, a.state, a.host, a.pid) == ("a", WorkerState.BUSY, "there", 8)
    assert (a.holding, a.finished, a.models, a.seen_at) == (3, 5, {"m": "ready"}, 100.0)
    assert (b.name, b.state) == ("b", WorkerState.BUSY)
    assert (c.name, c.state, c.host, c.pid, c.seen_at) == ("c", WorkerState.STARTING, "here", 7, 0.0)


@pytest.mark.parametrize("state", [WorkerState.STOPPING, WorkerState.GONE])
async def test_that_a_worker_leaves_whoever_runs_it_knows_first(state: WorkerState) -> None:
    scene = Scene(member("a", state, reason="was killed by SIGKILL"))
    await scene.source.beat(info("a"))
    (worker,) = (await scene.view.status()).workers
    assert (worker.state, worker.reason) == (state, "was killed by SIGKILL")


@pytest.mark.parametrize("refusal", [errors.QueueUnavailable(), errors.QueueFull(retry_after_seconds=1.0)])
async def test_without_the_queue_those_are_shown_that_run(
    monkeypatch: pytest.MonkeyPatch, refusal: errors.CapacityError
) -> None:
    scene = Scene(member("a"))

    async def away() -> list[WorkerInfo]:
        raise refusal

    monkeypatch.setattr(scene.desk, "workers", away)
    (worker,) = (await scene.view.status()).workers
    assert worker.name == "a"
    with pytest.raises(type(refusal)):
        await FleetView(HeartbeatFleet(scene.desk), scene.desk).status()


async def test_a_change_is_told_to_everybody() -> None:
    scene = Scene(member("a"))
    await scene.view.scale(FleetBounds(minimum=1, maximum=3), who="me")
    await scene.view.stop("a", who="me")
    first, second = await scene.events()
    assert (first.worker, first.detail) == ("", "scaled to 1 to 3 workers")
    assert (second.worker, second.detail) == ("a", "stopping a")


async def test_what_is_refused_is_not_told() -> None:
    scene = Scene(member("a"))
    with pytest.raises(errors.WorkerUnknown):
        await scene.view.stop("b", who="me")
    with pytest.raises(errors.ParameterInvalid):
        await scene.view.scale(FleetBounds(minimum=3, maximum=1), who="me")
    assert await scene.events() == []


async def test_a_change_is_made_though_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(member("a"))

    async def away(kind: EventKind, *, worker: str = "", detail: str = "") -> None:
        raise errors.QueueUnavailable

    monkeypatch.setattr(scene.desk, "tell", away)
    assert (await scene.view.stop("a", who="me")).what == "stopping a"


async def test_where_nobody_runs_the_workers_they_are_only_listed() -> None:
    scene = Scene()
    for name in ("b", "a"):
        await scene.source.beat(info(name))
    fleet = HeartbeatFleet(scene.desk)
    view = FleetView(fleet, scene.desk)
    status = await view.status()
    assert (status.bounds, status.is_read_only) == (None, True)
    assert [worker.name for worker in status.workers] == ["a", "b"]
    assert [(one.name, one.state, one.pid) for one in await fleet.members()] == [
        ("a", WorkerState.BUSY, 8),
        ("b", WorkerState.BUSY, 8),
    ]
    for refused in (view.scale(TWO, who="me"), view.stop("a", who="me")):
        with pytest.raises(errors.FleetReadOnly, match=r"heliograph up.*kubectl"):
            await refused
    assert list(await view.actions()) == []
