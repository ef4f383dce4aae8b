"""The numbers among the events: one look for all who may hear them, and never in the place of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.core.jobs import JobResult, Outcome, Priority
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.events import NUMBERS_SECONDS, EventFeed
from heliograph.serving.subscriptions import MAX_WAITING_EVENTS, Numbers, Reset, Snapshot, Subscription, Told
from unit.serving.feeds import EVERYBODY, ME, Desk, first, heard, is_quiet, job_ids, play

RESULT = JobResult(data=b"label", media_type="application/json")


async def numbers(subscription: Subscription) -> Numbers:
    """The next thing that is told, which must be the numbers alone."""
    told = await subscription.next(60)
    assert told is not None
    (one,) = told
    assert isinstance(one, Numbers)
    return one


def are_last(told: Sequence[Told]) -> bool:
    return [isinstance(one, Numbers) for one in told] == [*[False] * (len(told) - 1), True]


def test_they_come_every_other_second() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        source = MemorySource(desk.queue)
        for name, state in (("a", WorkerState.READY), ("b", WorkerState.BUSY), ("c", WorkerState.BUSY)):
            await source.beat(WorkerInfo(name=name, state=state, host="h", pid=1))
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)
            before = await numbers(subscription)
            assert before.counts.p95_seconds is None
            assert before.workers == dict.fromkeys(WorkerState, 0) | {
                WorkerState.READY: 1,
                WorkerState.BUSY: 2,
            }
            await desk.accept(3)
            await heard(subscription, 3)
            deliveries = await source.read("b", count=2)
            done, _ = await source.start("b", deliveries)
            await source.finish("b", [Outcome(assignment=done, answer=RESULT)])
            await heard(subscription, 3)
            after = await numbers(subscription)
            assert after.at - before.at == round(NUMBERS_SECONDS + 0.1, 3)  # and a look of 0.1 s
            bulk = after.counts.backlog[Priority.BULK]
            assert (after.counts.accepted, bulk.waiting, bulk.running) == (3, 1, 1)
            assert after.counts.p95_seconds is not None

    play(scenario, clock=lambda: round(asyncio.get_running_loop().time(), 3))


def test_one_look_is_for_all_and_nobody_looks_for_who_may_not_hear() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(ME) as mine:
            await first(mine)
            looks = desk.looks
            assert await mine.next(60) == ()
            assert desk.looks == looks
            all_ = [feed.subscribe(EVERYBODY) for _ in range(50)]
            await asyncio.gather(*(first(each) for each in all_))
            looks = desk.looks
            told = {id(one) for one in await asyncio.gather(*(numbers(each) for each in all_))}
            assert (len(told), desk.looks) == (1, looks + 1)
            assert await mine.next(10) == ()
            for each in all_:
                feed.leave(each)
            looks = desk.looks
            assert await mine.next(60) == ()
            assert desk.looks == looks

    play(scenario)


def test_who_is_slow_hears_every_event_and_the_newest_numbers_after_them() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as slow:
            await first(slow)
            ids = await desk.accept(10)
            await asyncio.sleep(60)
            told = await slow.next(0)
            assert told is not None
            assert are_last(told)
            assert tuple(job_ids(told)) == ids
            newest = told[-1]
            assert isinstance(newest, Numbers)
            assert newest.at > asyncio.get_running_loop().time() - 2 * NUMBERS_SECONDS
            assert await slow.next(0) == ()

    play(scenario, clock=lambda: asyncio.get_running_loop().time())


def test_numbers_wait_for_the_snapshot() -> None:
    """What is older than a new beginning is not told."""

    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as slow:
            await asyncio.sleep(5)
            await first(slow)
            await numbers(slow)
            await desk.accept(MAX_WAITING_EVENTS + 1)
            await asyncio.sleep(5)
            told = await slow.next(0)
            assert told is not None
            assert [type(one) for one in told] == [Reset, Snapshot]

    play(scenario)


def test_there_are_none_while_the_queue_is_away() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)
            desk.is_away = True
            await heard(subscription, 1)
            looks = desk.looks
            assert await subscription.next(60) == ()
            assert desk.looks <= looks + 1
            desk.is_away = False
            await heard(subscription, 2)
            await numbers(subscription)
            assert await is_quiet(subscription, 10)

    play(scenario)
