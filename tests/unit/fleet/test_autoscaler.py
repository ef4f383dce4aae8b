"""The rule of scaling, and the loop that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.core import errors
from heliograph.core.events import EventKind
from heliograph.core.fleet import FleetAction, FleetBounds
from heliograph.core.jobs import NewGroup, NewJob, QueueCounts
from heliograph.core.queue import QueueRules
from heliograph.serving.scaling import PATIENCE_SECONDS, Autoscaler, autoscale


class Scene:
    """A rule whose clock the test moves, and the fleet that follows it at once."""

    def __init__(self, minimum: int, maximum: int, *, present: int | None = None) -> None:
        self.now = 1000.0
        self.bounds = FleetBounds(minimum=minimum, maximum=maximum)
        self.present = minimum if present is None else present
        self.rule = Autoscaler(clock=lambda: self.now, jobs_per_worker=10)

    def step(self, open_jobs: int, seconds: float = 1.0) -> int:
        self.present = self.rule.wanted(present=self.present, bounds=self.bounds, open_jobs=open_jobs)
        self.now += seconds
        return self.present

    def steps(self, open_jobs: int, count: int) -> list[int]:
        return [self.step(open_jobs) for _ in range(count)]


def test_it_grows_at_once_and_at_most_doubles() -> None:
    assert Scene(1, 50).steps(1000, 7) == [2, 4, 8, 16, 32, 50, 50]


def test_it_wants_as_many_as_the_backlog_needs() -> None:
    for open_jobs, wanted in [(0, 1), (10, 1), (11, 2), (20, 2), (21, 3)]:
        assert Scene(1, 9).steps(open_jobs, 4)[-1] == wanted


def test_from_none_to_one_as_soon_as_anything_waits() -> None:
    scene = Scene(0, 5)
    assert scene.steps(0, 3) == [0, 0, 0]
    assert scene.step(1) == 1


def test_it_shrinks_after_a_time_in_which_less_was_enough() -> None:
    scene = Scene(1, 8)
    assert scene.steps(75, 5)[-1] == 8
    assert set(scene.steps(25, int(PATIENCE_SECONDS))) == {8}
    assert scene.steps(25, 2) == [3, 3]


def test_a_short_need_of_more_begins_the_time_anew() -> None:
    scene = Scene(1, 8)
    scene.steps(75, 5)
    scene.steps(5, 20)
    assert scene.step(41) == 8
    assert set(scene.steps(5, int(PATIENCE_SECONDS))) == {5, 8}
    assert scene.steps(5, 2)[-1] == 1


def test_none_are_left_only_when_nothing_waits_or_runs() -> None:
    scene = Scene(0, 4)
    scene.steps(40, 3)
    assert scene.steps(1, 100)[-1] == 1
    assert scene.steps(0, 100)[-1] == 0


def test_what_is_not_known_is_no_reason_to_shrink() -> None:
    scene = Scene(1, 8, present=8)
    assert scene.step(0) == 8
    scene.now += 3600
    scene.rule.forget()
    assert scene.step(0) == 8


def test_bounds_are_kept_at_once() -> None:
    scene = Scene(1, 8, present=4)
    scene.bounds = FleetBounds(minimum=6, maximum=8)
    assert scene.step(0) == 6
    scene.bounds = FleetBounds(minimum=0, maximum=2)
    assert scene.step(1000) == 2


@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(0, 10), st.integers(0, 10))
def test_whatever_comes_it_stays_within_bounds_and_never_leaves_work_alone(
    backlogs: Sequence[int], minimum: int, more: int
) -> None:
    scene = Scene(minimum, minimum + more)
    for open_jobs in backlogs:
        before = scene.present
        present = scene.step(open_jobs)
        assert minimum <= present <= minimum + more
        assert present <= max(1, 2 * before)
        assert present > 0 or open_jobs == 0 or minimum + more == 0


class SomeFleet:
    """A fleet that only counts."""

    def __init__(self) -> None:
        self.size = 0

    async def bounds(self) -> FleetBounds | None:
        return FleetBounds(minimum=0, maximum=4)

    def resize(self, count: int, *, why: str) -> FleetAction | None:
        if count == self.size:
            return None
        self.size = count
        return FleetAction(at=0.0, who="autoscaler", what=f"{count} for {why}", command="")


class MoodyDesk(MemoryDesk):
    """A desk whose server is away now and then."""

    is_away = False

    async def counts(self) -> QueueCounts:
        if self.is_away:
            raise errors.QueueUnavailable
        return await super().counts()


@pytest.mark.anyio
async def test_the_loop_goes_on_through_failures_and_tells_of_each_change() -> None:
    desk, fleet = MoodyDesk(MemoryQueue(QueueRules(), lambda: 0.0)), SomeFleet()
    sizes: list[int] = []

    async def pause(seconds: float) -> None:
        sizes.append(fleet.size)
        desk.is_away = len(sizes) in (2, 3)
        if len(sizes) == 1:
            jobs = tuple(NewJob(id=f"job-{n}", name="", model="m", payload=b"x") for n in range(25))
            await desk.enqueue(NewGroup(id="group", owner="", jobs=jobs))
        if len(sizes) == 7:
            raise asyncio.CancelledError

    with suppress(asyncio.CancelledError):
        await autoscale(fleet, desk, Autoscaler(clock=lambda: 0.0, jobs_per_worker=10), pause=pause)
    assert sizes == [0, 1, 1, 1, 2, 3, 3]
    told = [e for e in (await desk.events("0-0")).events if e.kind is EventKind.FLEET]
    assert [event.detail for event in told] == [f"{n} for 25 open jobs" for n in (1, 2, 3)]
