"""What operators see of a fleet, and what everybody hears of a change."""

from __future__ import annotations

from dataclasses import replace

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

    async def obstacle(self) -> str:
        return "The autoscaler is blind."

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
    assert status.obstacle == "The autoscaler is blind."
    a, b, c = status.workers
    assert (a.name, a.state, a.host, a.pid) == ("a", WorkerState.BUSY, "here", 8)
    assert (a.holding, a.finished, a.models, a.seen_at) == (3, 5, {"m": "ready"}, 100.0)
    assert (b.name, b.state) == ("b", WorkerState.BUSY)
    assert (c.name, c.state, c.host, c.pid, c.seen_at) == ("c", WorkerState.STARTING, "here", 7, 0.0)


async def test_a_pod_is_the_host_of_the_process_in_it_whatever_that_is_called() -> None:
    scene = Scene(member("pod-1"), member("pod-2"))
    for name, started in (("pod-1-77777777", 92.0), ("pod-1-00000000", 95.0), ("pod-3-11111111", 95.0)):
        heard = replace(info(name), host=name[:5], started_at=started, finished=int(started))
        await scene.source.beat(heard)
    shown = (await scene.view.status()).workers
    assert [(worker.name, worker.state, worker.finished) for worker in shown] == [
        ("pod-1", WorkerState.BUSY, 95),
        ("pod-2", WorkerState.STARTING, 0),
        ("pod-3-11111111", WorkerState.BUSY, 95),
    ]


@pytest.mark.parametrize(
    ("restarted", "state", "reason"), [(99.0, WorkerState.GONE, "x"), (101.0, WorkerState.STARTING, "x")]
)
async def test_a_container_that_started_since_its_process_fell_silent_is_a_new_one(
    monkeypatch: pytest.MonkeyPatch, restarted: float, state: WorkerState, reason: str
) -> None:
    scene = Scene(replace(member("pod-1", reason="x"), started_at=restarted))
    heard = replace(info("pod-1-77777777", WorkerState.GONE), host="pod-1", seen_at=100.0)

    async def workers() -> list[WorkerInfo]:
        return [heard]

    monkeypatch.setattr(scene.desk, "workers", workers)
    (worker,) = (await scene.view.status()).workers
    assert (worker.state, worker.reason) == (state, reason)


async def test_a_pod_whose_container_does_not_run_is_as_the_cluster_says_whatever_was_heard() -> None:
    scene = Scene(replace(member("pod-1", reason="CrashLoopBackOff"), is_running=False))
    await scene.source.beat(replace(info("pod-1-77777777"), host="pod-1"))
    (worker,) = (await scene.view.status()).workers
    assert (worker.state, worker.reason, worker.holding) == (WorkerState.STARTING, "CrashLoopBackOff", 0)


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
