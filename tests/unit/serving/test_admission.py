"""Bounds on requests, bytes and decoded pixels."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.serving.admission import RETRY_AFTER_RANGE, Admission, PixelBudget
from unit.serving.schedules import in_fake_time


class Now:
    """A clock that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def admission(clock: Now | None = None, *, requests: int = 2, size: int = 100) -> Admission:
    return Admission(max_in_flight=requests, max_body_bytes=size, clock=clock or Now())


def test_permits_are_bounded_and_given_back_whatever_happens() -> None:
    door = admission()

    def fail_inside() -> None:
        with door.admit():
            with pytest.raises(errors.Overloaded), door.admit():
                pass
            raise ZeroDivisionError

    with door.admit(), pytest.raises(ZeroDivisionError):
        fail_inside()
    assert door.in_flight == 0
    with door.admit():
        assert door.in_flight == 1


def test_bytes_are_bounded_over_all_requests_and_freed_with_the_permit() -> None:
    door = admission()
    with door.admit() as first:
        first.hold(60)
        with door.admit() as second:
            second.hold(40)
            with pytest.raises(errors.Overloaded):
                second.hold(1)
        first.hold(40)
    with door.admit() as third:
        third.hold(100)


@pytest.mark.parametrize(("gap", "low", "high"), [(0.0, 1, 1), (0.5, 4, 10), (100.0, 30, 30)])
def test_the_time_to_come_back_follows_the_rate_of_answers(gap: float, low: float, high: float) -> None:
    """40 in flight, an answer each ``gap`` seconds: half of them are done after 20 gaps, within 1 to 30 s."""
    clock = Now()
    door = admission(clock, requests=41)
    held = [door.admit() for _ in range(40)]
    for permit in held:
        permit.__enter__()
    for _ in range(60):
        clock.seconds += gap
        with door.admit():
            pass
    assert low <= door.retry_after_seconds() <= high
    assert RETRY_AFTER_RANGE[0] <= door.retry_after_seconds() <= RETRY_AFTER_RANGE[1]
    for permit in held:
        permit.__exit__(None, None, None)


def test_the_first_come_is_the_first_served() -> None:
    """A small picture does not overtake a large one for ever, not even through `try_take`."""

    async def play() -> None:
        budget = PixelBudget(10)
        served: list[str] = []

        async def take(name: str, pixels: int) -> None:
            await budget.take(pixels)
            served.append(name)

        assert budget.try_take(8)
        large = asyncio.create_task(take("large", 9))
        await asyncio.sleep(0)
        small = asyncio.create_task(take("small", 1))
        await asyncio.sleep(0)
        assert not budget.try_take(1)
        budget.give_back(8)
        await asyncio.gather(large, small)
        assert served == ["large", "small"]

    in_fake_time(play)


def test_a_picture_larger_than_the_budget_passes_alone() -> None:
    async def play() -> None:
        budget = PixelBudget(10)
        assert budget.try_take(1)
        huge = asyncio.create_task(budget.take(1000))
        await asyncio.sleep(1)
        assert not huge.done()
        budget.give_back(1)
        await huge
        assert not budget.try_take(1)
        budget.give_back(1000)
        assert budget.try_take(10)

    in_fake_time(play)


def test_what_waits_for_pixels_is_bounded_too() -> None:
    async def play() -> None:
        budget = PixelBudget(10)
        assert budget.try_take(10)
        waiting = [asyncio.create_task(budget.take(10)) for _ in range(2)]
        await asyncio.sleep(1)
        with pytest.raises(errors.Overloaded):
            await budget.take(1)
        budget.give_back(10)
        await waiting[0]
        third = asyncio.create_task(budget.take(1))
        for _ in range(2):
            budget.give_back(10)
            await asyncio.sleep(1)
        await asyncio.gather(*waiting, third)

    in_fake_time(play)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 14), st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 9)),
        max_size=15,
    )
)
def test_every_schedule_of_takers_leaves_the_budget_whole(
    takers: list[tuple[int, int, int, int | None]],
) -> None:
    """Each comes, holds for a while, and may be cancelled at any time, also while it waits."""

    async def play() -> None:
        budget = PixelBudget(10)
        held: set[int] = set()

        async def visit(number: int, pixels: int, at: int, stay: int) -> None:
            await asyncio.sleep(at)
            await budget.take(pixels)
            held.add(number)
            try:
                total = sum(takers[each][0] for each in held)
                assert total <= 10 or len(held) == 1
                await asyncio.sleep(stay)
            finally:
                held.remove(number)
                budget.give_back(pixels)

        tasks = []
        for number, (pixels, at, stay, cancelled_at) in enumerate(takers):
            task = asyncio.create_task(visit(number, pixels, at, stay))
            if cancelled_at is not None:
                asyncio.get_running_loop().call_later(cancelled_at, task.cancel)
            tasks.append(task)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError | errors.Overloaded)
        assert budget.try_take(10)
        assert not budget.try_take(1)

    in_fake_time(play)


async def test_threads_and_the_event_loop_together_never_exceed_the_budget() -> None:
    budget = PixelBudget(10)
    lock = threading.Lock()
    taken = peak = 0

    def note(pixels: int) -> None:
        nonlocal taken, peak
        with lock:
            taken += pixels
            peak = max(peak, taken)

    def hammer(pixels: int) -> None:
        for _ in range(2000):
            if budget.try_take(pixels):
                note(pixels)
                note(-pixels)
                budget.give_back(pixels)

    async def wait_in_turn(pixels: int) -> None:
        for _ in range(200):
            await budget.take(pixels)
            note(pixels)
            await asyncio.sleep(0)
            note(-pixels)
            budget.give_back(pixels)

    with ThreadPoolExecutor(4) as threads:
        loop = asyncio.get_running_loop()
        hammers = [loop.run_in_executor(threads, hammer, pixels) for pixels in (1, 3, 5, 10)]
        await asyncio.gather(*hammers, *(wait_in_turn(pixels) for pixels in (2, 4, 10)))
    assert 0 < peak <= 10
    assert taken == 0
    assert budget.try_take(10)
