"""Which workers hang, and that they are killed while the queue answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.core import errors
from heliograph.core.fleet import FleetMember
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving import silence as module
from heliograph.serving.silence import Silence, hear


def info(name: str, seen_at: float, state: WorkerState = WorkerState.READY) -> WorkerInfo:
    return WorkerInfo(name=name, state=state, host="here", pid=7, seen_at=seen_at)


class Scene:
    """Two workers looked at every second by clocks that the test moves; the queue has a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.silence = Silence(clock=lambda: self.now)
        self.seen: dict[str, float] = {}
        self.running = ["a", "b"]

    def seconds(self, count: int, *, beating: Iterable[str] = ("a", "b")) -> list[tuple[int, str]]:
        """Which ones were found to hang, and in which second."""
        found = []
        for second in range(1, count + 1):
            self.now += 1
            self.seen |= dict.fromkeys(beating, self.now + 5e8)
            heard = [info(name, seen_at) for name, seen_at in self.seen.items()]
            found += [(second, name) for name in self.silence.hanging(self.running, heard)]
        return found


def test_whoever_is_heard_does_not_hang() -> None:
    assert Scene().seconds(300) == []


def test_one_that_was_heard_and_is_not_any_more_hangs() -> None:
    scene = Scene()
    scene.seconds(100)
    assert scene.seconds(31, beating=["b"]) == [(30, "a")]


def test_it_hangs_also_once_the_queue_has_forgotten_it() -> None:
    scene = Scene()
    scene.seconds(100)
    assert scene.seconds(10, beating=["b"]) == []
    del scene.seen["a"]
    assert scene.seconds(25, beating=["b"]) == [(20, "a")]


def test_one_that_was_never_heard_may_be_slow() -> None:
    assert Scene().seconds(300, beating=["b"]) == []


def test_a_young_one_is_left_alone() -> None:
    scene = Scene()
    scene.seconds(5)
    assert scene.seconds(57, beating=["b"]) == [(56, "a")]


def test_the_next_one_in_its_place_begins_anew() -> None:
    scene = Scene()
    scene.seconds(100)
    scene.seconds(30, beating=["b"])
    scene.running = ["b", "c"]
    assert scene.seconds(100, beating=["b"]) == []


def test_while_the_queue_was_away_nobody_was_silent() -> None:
    scene = Scene()
    scene.seconds(100)
    scene.seconds(20, beating=[])
    scene.silence.forget()
    assert scene.seconds(40, beating=["b"]) == [(30, "a")]


def test_while_we_were_stopped_ourselves_nobody_was_silent() -> None:
    scene = Scene()
    scene.seconds(100)
    scene.now += 3600
    assert scene.seconds(40, beating=["b"]) == [(31, "a")]  # from the first look after it


class NotingFleet:
    """A fleet of one worker that notes what it is told."""

    def __init__(self) -> None:
        self.ready: list[list[str]] = []
        self.killed: list[tuple[str, str]] = []

    async def members(self) -> Sequence[FleetMember]:
        return [
            FleetMember(name="a", state=WorkerState.READY, host="here"),
            FleetMember(name="b", state=WorkerState.STOPPING, host="here"),
        ]

    def heard(self, ready: Iterable[str]) -> None:
        self.ready.append(sorted(ready))

    def kill(self, name: str, *, why: str) -> None:
        self.killed.append((name, why))


class FixedDesk(MemoryDesk):
    """A desk with workers whose heartbeats have stopped, that is away now and then."""

    is_away = False

    async def workers(self) -> Sequence[WorkerInfo]:
        if self.is_away:
            raise errors.QueueUnavailable
        return [info("a", 1.0), info("b", 1.0), info("c", 1.0, WorkerState.STARTING)]


@pytest.mark.anyio
async def test_the_loop_kills_those_that_are_kept_up_alone_and_only_while_the_queue_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    now = 0.0
    looks = 0

    def clock() -> float:
        return now

    class SteppingDesk(FixedDesk):
        async def workers(self) -> Sequence[WorkerInfo]:
            nonlocal now, looks
            now, looks = now + 1, looks + 1
            self.is_away = looks == 5
            if looks == 12:
                raise asyncio.CancelledError
            return await super().workers()

    fleet = NotingFleet()
    desk = SteppingDesk(MemoryQueue(QueueRules(), clock))
    with pytest.raises(asyncio.CancelledError):
        await hear(fleet, desk, Silence(clock=clock, silent_seconds=5.0, young_seconds=0.0))
    assert fleet.killed == [("a", "lives, but was not heard of for 5 s")]
    assert fleet.ready == [["a", "b"]] * 10
