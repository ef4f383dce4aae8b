"""The batcher's rules under every schedule that hypothesis can think of, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.serving.batcher import OVERTAKEN, Batcher, BatchRules, Entry, Outcome, Reply
from unit.serving.schedules import HALF, TICK, FakeEngine, Play, Visitor, in_fake_time

FOREVER = 100_000

visitors = st.lists(
    st.builds(
        Visitor,
        at=st.integers(0, 30),
        patience=st.one_of(st.just(FOREVER), st.integers(1, 40)),
        leaves_after=st.one_of(st.none(), st.none(), st.integers(0, 30)),
        poison=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=25,
)
rules = st.builds(
    BatchRules,
    max_batch=st.integers(1, 5),
    max_wait_seconds=st.sampled_from([0.0, 2 * TICK, 7 * TICK]),
    streams=st.integers(1, 3),
    max_waiting=st.sampled_from([1, 3, 1024]),
)
delays = st.lists(st.integers(0, 15), min_size=1, max_size=6)


@settings(max_examples=120, deadline=None)
@given(
    visitors=visitors,
    rules=rules,
    delays=delays,
    stop_at=st.integers(0, 60),
    grace=st.sampled_from([0, 10, FOREVER]),
)
def test_every_schedule_ends_well(
    visitors: list[Visitor], rules: BatchRules, delays: list[int], stop_at: int, grace: int
) -> None:
    play = Play(visitors, rules, delays, stop_at, grace)
    in_fake_time(play.run)
    check_endings(play)
    check_batches(play)
    check_counts(play)


def check_endings(play: Play) -> None:
    """Everybody has one ending, in time, and the right one."""
    assert set(play.endings) == set(range(len(play.visitors)))
    for number, ending in play.endings.items():
        visitor, outcome = play.visitors[number], ending.outcome
        assert ending.at <= (visitor.at + visitor.patience) * TICK + HALF or visitor.at >= play.stop_at
        if isinstance(outcome, Reply):
            assert outcome.row.tolist() == [2.0 * number]
            assert outcome.queue_seconds >= 0
            assert not visitor.poison
        elif outcome is None:
            assert visitor.leaves_after is not None
        elif isinstance(outcome, errors.EngineFailed):
            assert visitor.poison
        elif isinstance(outcome, errors.ShuttingDown):
            assert ending.at >= play.stop_at * TICK
        elif isinstance(outcome, errors.DeadlineExceeded) or was_overtaken(outcome):
            assert ending.at >= (visitor.at + visitor.patience) * TICK - HALF
        else:
            assert isinstance(outcome, errors.Overloaded)
            assert outcome.retry_after_seconds >= 1


def was_overtaken(outcome: object) -> bool:
    """Let in, and its turn did not come in time."""
    return isinstance(outcome, errors.Overloaded) and outcome.message == OVERTAKEN


def check_batches(play: Play) -> None:
    """Batches are bounded, in order of arrival, and without those who left before they were formed."""
    engine, rules = play.engine, play.rules
    formed = [number for batch in engine.formed for number in batch]
    arrivals = [play.visitors[number].at for number in formed]
    assert arrivals == sorted(arrivals)
    assert len(formed) == len(set(formed))
    assert all(1 <= len(batch) <= rules.max_batch for batch in engine.formed)
    assert engine.most_running <= rules.streams + 1
    assert engine.dead_when_formed == []
    for batch, at in zip(engine.formed, engine.formed_at, strict=True):
        for number in batch:
            visitor = play.visitors[number]
            assert visitor.leaves_after is None or (visitor.at + visitor.leaves_after) * TICK > at - HALF


def check_counts(play: Play) -> None:
    """Whoever was let in was computed, dropped and counted, or failed by the stop; nothing twice."""
    let_in = {
        number
        for number, ending in play.endings.items()
        if not isinstance(ending.outcome, errors.Overloaded) or was_overtaken(ending.outcome)
    }
    stopped = sum(
        isinstance(play.endings[number].outcome, errors.ShuttingDown)
        for number in let_in - set(play.engine.computed)
    )
    never_began = sum(  # cancelled in the very moment in which it came: it never was in the queue
        play.endings[number].outcome is None and play.visitors[number].leaves_after == 0 for number in let_in
    )
    computed, dropped = len(play.engine.computed), sum(play.drops.values())
    assert computed + dropped + stopped <= len(let_in)
    assert computed + dropped + stopped >= len(let_in) - never_began - lost_in_the_stop(play)
    assert play.batcher.depth == 0


def lost_in_the_stop(play: Play) -> int:
    """Who left while the batch that was formed with them was cancelled by the stop: nobody counts them."""
    computed = set(play.engine.computed)
    formed = {number for batch in play.engine.formed for number in batch}
    return sum(
        not isinstance(play.endings[number].outcome, errors.ShuttingDown) for number in formed - computed
    )


@settings(max_examples=50, deadline=None)
@given(arrivals=st.lists(st.integers(0, 30), min_size=1, max_size=25), rules=rules, delays=delays)
def test_the_patient_are_answered(arrivals: list[int], rules: BatchRules, delays: list[int]) -> None:
    """Also by a stop, which lets the queue finish."""
    rules = BatchRules(
        max_batch=rules.max_batch, max_wait_seconds=rules.max_wait_seconds, streams=rules.streams
    )
    crowd = [Visitor(at, FOREVER) for at in arrivals]
    play = Play(crowd, rules, delays, stop_at=31, grace=FOREVER)
    in_fake_time(play.run)
    assert all(isinstance(ending.outcome, Reply) for ending in play.endings.values())
    assert not play.drops


def endings_of(crowd: Sequence[Visitor], rules: BatchRules, delay: int) -> Play:
    play = Play(crowd, rules, [delay], stop_at=100, grace=FOREVER)
    return in_fake_time(play.run)


def test_an_idle_engine_starts_at_once() -> None:
    play = endings_of([Visitor(3, FOREVER)], BatchRules(max_wait_seconds=50 * TICK), delay=4)
    assert play.endings[0].at == pytest.approx(7 * TICK)


def test_what_waits_while_the_engine_is_busy_becomes_one_batch() -> None:
    crowd = [Visitor(at, FOREVER) for at in (0, 1, 2, 3)]
    play = endings_of(crowd, BatchRules(max_batch=8, max_wait_seconds=50 * TICK), delay=10)
    assert play.engine.formed == [[0], [1, 2, 3]]
    assert play.engine.formed_at[1] == pytest.approx(10 * TICK)


def test_a_batch_is_formed_ahead_once_its_oldest_waited_long_enough() -> None:
    crowd = [Visitor(at, FOREVER) for at in (0, 1, 2, 9)]
    play = endings_of(crowd, BatchRules(max_batch=8, max_wait_seconds=5 * TICK), delay=20)
    assert play.engine.formed == [[0], [1, 2], [3]]
    assert play.engine.formed_at[1] == pytest.approx(6 * TICK)


def test_a_full_batch_is_formed_ahead_at_once() -> None:
    crowd = [Visitor(at, FOREVER) for at in (0, 1, 2)]
    play = endings_of(crowd, BatchRules(max_batch=2, max_wait_seconds=50 * TICK), delay=20)
    assert play.engine.formed == [[0], [1, 2]]
    assert play.engine.formed_at[1] == pytest.approx(2 * TICK)


def test_those_who_left_free_their_place_at_once() -> None:
    """Else clients who come and go would fill the queue, and the memory, with tensors that nobody wants."""
    crowd = [Visitor(0, FOREVER), Visitor(0, FOREVER)]
    crowd += [Visitor(at, FOREVER, leaves_after=1) for at in (1, 3, 5)]
    crowd += [Visitor(7, FOREVER)]
    rules = BatchRules(max_batch=1, max_waiting=1, max_wait_seconds=0)
    play = Play(crowd, rules, [30], stop_at=50, grace=FOREVER)
    in_fake_time(play.run)
    assert isinstance(play.endings[5].outcome, Reply)
    assert play.engine.formed == [[0], [1], [5]]
    assert play.drops == {"cancelled": 3}


def test_who_left_in_this_very_moment_is_not_taken_along() -> None:
    """A batch closes between a client's leaving and the turn in which its entry is taken out."""

    async def play() -> list[list[int]]:
        loop = asyncio.get_running_loop()
        engine, drops = FakeEngine(1, [10]), list[str]()
        rules = BatchRules(max_batch=2, max_wait_seconds=1)
        batcher = Batcher(
            engine, rules, clock=loop.time, on_drop=lambda reason, count=1: drops.append(reason)
        )

        def come(number: int) -> asyncio.Task[Reply]:
            tensor = np.array([number], dtype=np.float32)
            return asyncio.create_task(batcher.submit(tensor, deadline=loop.time() + 60))

        first, second = come(0), come(1)
        await asyncio.sleep(TICK)
        third = come(2)
        second.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        await batcher.stop(deadline=loop.time() + 1)
        assert drops == ["cancelled"]
        return engine.formed

    assert in_fake_time(play) == [[0], [2]]


def test_a_full_queue_refuses_with_the_time_to_come_back() -> None:
    crowd = [Visitor(0, FOREVER)] * 3 + [Visitor(1, FOREVER)]
    rules = BatchRules(max_batch=1, max_waiting=1, max_wait_seconds=0)
    play = Play(crowd, rules, [10], stop_at=50, grace=FOREVER)
    in_fake_time(play.run)
    refusal = play.endings[3].outcome
    assert isinstance(refusal, errors.Overloaded)
    assert refusal.retry_after_seconds >= 1


def test_what_cannot_be_answered_in_time_is_refused_before_it_waits() -> None:
    """After one batch of 10 ticks a picture, the tenth in the queue would wait 90."""
    crowd = [Visitor(0, FOREVER), *[Visitor(20, FOREVER)] * 9, Visitor(21, 50), Visitor(21, 200)]
    play = Play(crowd, BatchRules(max_batch=1, max_wait_seconds=0), [10], stop_at=150, grace=FOREVER)
    in_fake_time(play.run)
    assert isinstance(play.endings[10].outcome, errors.Overloaded)
    assert isinstance(play.endings[11].outcome, Reply)


def test_a_runner_that_raises_leaves_nobody_waiting_and_is_reported() -> None:
    async def play() -> list[str]:
        loop = asyncio.get_running_loop()
        reported: list[str] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["message"]))

        async def broken(entries: Sequence[Entry]) -> Sequence[Outcome]:
            raise RuntimeError("no engine")

        batcher = Batcher(broken, BatchRules(), clock=loop.time, on_drop=lambda reason, count=1: None)
        tensor = np.zeros(1, dtype=np.float32)
        submissions = [batcher.submit(tensor, deadline=loop.time() + 60) for _ in range(3)]
        outcomes = await asyncio.gather(*submissions, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [errors.EngineFailed] * 3
        await batcher.stop(deadline=loop.time() + 1)
        return reported

    assert set(in_fake_time(play)) == {"This is a bug: a batch runner raised."}


def test_a_stop_refuses_newcomers_and_fails_what_is_left_at_its_deadline() -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        engine = FakeEngine(1, [FOREVER])
        batcher = Batcher(
            engine, BatchRules(max_batch=1), clock=loop.time, on_drop=lambda reason, count=1: None
        )
        tensor = np.zeros(1, dtype=np.float32)
        waiting = [asyncio.create_task(batcher.submit(tensor, deadline=loop.time() + 1e6)) for _ in range(4)]
        await asyncio.sleep(TICK)
        stopping = asyncio.create_task(batcher.stop(deadline=loop.time() + 5 * TICK))
        await asyncio.sleep(TICK)
        with pytest.raises(errors.ShuttingDown):
            await batcher.submit(tensor, deadline=loop.time() + 1)
        await stopping
        assert loop.time() == pytest.approx(6 * TICK)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [errors.ShuttingDown] * 4

    in_fake_time(play)
