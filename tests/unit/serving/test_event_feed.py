"""Events: one reading for all who listen, who miss nothing without being told (in fake time)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.core import errors
from heliograph.core.events import Event, EventKind
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.events import BACKOFF_SECONDS, WAIT_SECONDS, EventFeed
from heliograph.serving.subscriptions import (
    JOB_EVENTS_A_SECOND,
    MAX_WAITING_EVENTS,
    JobCounts,
    Outage,
    Reset,
    Snapshot,
    Told,
)
from unit.serving.feeds import EVERYBODY, ME, Desk, first, heard, is_quiet, job_ids, play


def accepted(snapshot: Snapshot) -> int:
    """How many jobs a snapshot counts, for a reader who sees all."""
    assert snapshot.counts is not None
    return snapshot.counts.accepted


def test_it_begins_with_a_snapshot_and_goes_on_live() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        await desk.accept(3)
        with feed.subscribe(EVERYBODY) as subscription:
            snapshot = await first(subscription)
            assert accepted(snapshot) == 3
            (job_id,) = await desk.accept()
            (event,) = await heard(subscription, 1)
            assert isinstance(event, Event)
            assert (event.kind, event.job_ids) == (EventKind.ACCEPTED, (job_id,))
            assert await is_quiet(subscription, 15)

    play(scenario)


def test_who_does_not_see_all_hears_of_its_own_jobs_alone() -> None:
    """Live, in the snapshot, and when it comes back."""

    async def scenario(desk: Desk, feed: EventFeed) -> None:
        info = WorkerInfo(name="w", state=WorkerState.READY, host="h", pid=1)
        await MemorySource(desk.queue).beat(info)
        with feed.subscribe(ME) as mine, feed.subscribe(EVERYBODY) as all_:
            start = await first(mine)
            assert (start.counts, list(start.workers)) == (None, [])
            assert [worker.name for worker in (await first(all_)).workers] == ["w"]
            await desk.tell(EventKind.FLEET, worker="w", detail="scaled")
            (theirs,) = await desk.accept(owner="you")
            (own,) = await desk.accept(owner="me")
            assert job_ids(await heard(all_, 3)) == [theirs, own]
            assert kinds(await heard(mine, 1)) == [EventKind.ACCEPTED]
            assert await mine.next(5) == ()
        with feed.subscribe(ME, start.id) as mine, feed.subscribe(EVERYBODY, start.id) as all_:
            assert kinds(await heard(all_, 3)) == [EventKind.FLEET, EventKind.ACCEPTED, EventKind.ACCEPTED]
            assert job_ids(told := await heard(mine, 1)) == [own]
            assert kinds(told) == [EventKind.ACCEPTED]

    play(scenario)


def kinds(told: Sequence[Told]) -> list[EventKind]:
    return [one.kind for one in told if isinstance(one, Event)]


def test_one_reading_serves_all_and_ends_after_the_last_listener() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        assert not feed.is_reading
        subscriptions = [feed.subscribe(EVERYBODY) for _ in range(50)]
        await asyncio.gather(*(first(each) for each in subscriptions))
        assert desk.looks <= 2
        reads = desk.reads
        (job_id,) = await desk.accept()
        assert {tuple(job_ids(await heard(each, 1))) for each in subscriptions} == {(job_id,)}
        assert desk.reads - reads <= 2
        for each in subscriptions:
            feed.leave(each)
        await asyncio.sleep(WAIT_SECONDS + 0.1)
        assert not feed.is_reading
        with feed.subscribe(EVERYBODY) as again:
            await first(again)

    play(scenario)


def test_places_are_bounded_and_come_free() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY), feed.subscribe(EVERYBODY), pytest.raises(errors.Overloaded):
            feed.subscribe(EVERYBODY)
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)

    play(scenario, max_streams=2)


def test_a_resumption_misses_nothing_and_repeats_nothing() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(ME) as subscription:
            await first(subscription)
            before = await desk.accept(3)
            told = await heard(subscription, 3)
        assert tuple(job_ids(told)) == before
        second = told[1]
        assert isinstance(second, Event)
        while_away = await desk.accept(20)
        await desk.accept(5, owner="you")
        with feed.subscribe(ME, second.id) as subscription:
            meanwhile = await desk.accept(2)
            told = await heard(subscription, 23)
            live = await desk.accept(2)
            told += await heard(subscription, 2)
            assert await is_quiet(subscription, 5)
        assert job_ids(told) == [before[2], *while_away, *meanwhile, *live]

    play(scenario)


@pytest.mark.parametrize("hostile", ["x", "1-1", "0-0-0", "9" * 20 + "-0", "9" * 5000, "٣-٣", "-", "1-1\n"])
def test_a_place_that_nobody_knows_starts_over(hostile: str) -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        await desk.accept()
        with feed.subscribe(EVERYBODY, hostile) as subscription:
            reset, snapshot = await heard(subscription, 2)
            assert isinstance(reset, Reset)
            assert isinstance(snapshot, Snapshot)
            (job_id,) = await desk.accept()
            assert job_ids(await heard(subscription, 1)) == [job_id]

    play(scenario)


def test_a_reader_that_is_too_slow_starts_over() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as slow, feed.subscribe(EVERYBODY) as quick:
            await first(slow)
            await first(quick)
            await desk.accept(MAX_WAITING_EVENTS + 1)
            await asyncio.sleep(1)
            reset, snapshot = await heard(slow, 2)
            assert isinstance(reset, Reset)
            assert isinstance(snapshot, Snapshot)
            assert accepted(snapshot) == MAX_WAITING_EVENTS + 1
            (job_id,) = await desk.accept()
            assert job_ids(await heard(slow, 1)) == [job_id]

    play(scenario)


def test_many_job_events_become_counts() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)
            began = asyncio.get_running_loop().time()
            await desk.accept(JOB_EVENTS_A_SECOND + 30)
            told = await heard(subscription, JOB_EVENTS_A_SECOND)
            assert len(job_ids(told)) == len(told) == JOB_EVENTS_A_SECOND
            await desk.tell(EventKind.FLEET, detail="scaled")
            (fleet,) = await heard(subscription, 1)
            assert isinstance(fleet, Event)
            assert fleet.id == ""  # those before it are not told yet
            (counts,) = await heard(subscription, 1)
            assert isinstance(counts, JobCounts)
            assert counts.counts == {EventKind.ACCEPTED: 30}
            assert counts.seconds == 1.0
            assert 1.0 <= asyncio.get_running_loop().time() - began <= 1.2
            after = await desk.accept(2)
            assert tuple(job_ids(await heard(subscription, 2))) == after
        with feed.subscribe(EVERYBODY, counts.id) as subscription:
            assert tuple(job_ids(await heard(subscription, 2))) == after

    play(scenario)


def test_an_outage_is_told_once_and_ends_with_a_snapshot() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)
            desk.is_away = True
            (outage,) = await heard(subscription, 1)
            assert isinstance(outage, Outage)
            assert await is_quiet(subscription, 30)
            reads = desk.reads
            await asyncio.sleep(60)
            assert desk.reads - reads <= 60 / BACKOFF_SECONDS[1] + 1
            with feed.subscribe(EVERYBODY) as late:
                (told,) = await heard(late, 1)
                assert isinstance(told, Outage)
                await desk.accept()
                desk.is_away = False
                for each in (subscription, late):
                    reset, snapshot = await heard(each, 2)
                    assert isinstance(reset, Reset)
                    assert isinstance(snapshot, Snapshot)
                    assert accepted(snapshot) == 1
                (job_id,) = await desk.accept()
                assert job_ids(await heard(subscription, 1)) == [job_id]

    play(scenario)


def test_a_snapshot_or_a_replay_that_fails_is_an_outage_too() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as there:
            place = (await first(there)).id
            for last_event_id in ("", place):
                with feed.subscribe(EVERYBODY, last_event_id) as subscription:
                    desk.is_away = True
                    (outage,) = await heard(subscription, 1)
                    assert isinstance(outage, Outage)
                    desk.is_away = False
                    assert isinstance((await heard(subscription, 2))[0], Reset)
            assert isinstance((await heard(there, 2))[0], Reset)

    play(scenario)


def test_the_end_wakes_everybody() -> None:
    async def scenario(desk: Desk, feed: EventFeed) -> None:
        with feed.subscribe(EVERYBODY) as subscription:
            await first(subscription)
            waiting = asyncio.ensure_future(subscription.next(1000))
            await asyncio.sleep(1)
            await feed.close()
            assert await waiting is None
            assert await subscription.next(1) is None

    play(scenario)
