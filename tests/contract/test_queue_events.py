"""What every queue promises of its events: everybody reads the same, in order, and knows when some are lost."""

from __future__ import annotations

import asyncio

import pytest

from blob_trials import OffloadedTrial
from heliograph.core.events import EventKind
from heliograph.core.workers import WorkerInfo, WorkerState
from queue_servers import QueueServer
from queue_trials import FAILED, MakeTrial, RedisTrial, Trial, begun, enqueued, finish

pytestmark = pytest.mark.anyio
CAP = 10_000
SLACK = 200
"""How many more a server may keep: it trims whole blocks."""


async def test_events_tell_what_happened_to_the_jobs_of_a_request_together(trial: Trial) -> None:
    first, second = await enqueued(trial, 2)
    (other,) = await enqueued(trial, owner="them")
    started = await begun(trial, "a")
    await trial.source.hand_back("a", started[1:2])
    await finish(trial, started[0], "a")
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=9))
    await trial.source.retry("b", again, FAILED)
    await trial.desk.cancel(second)
    page = await trial.desk.events("0-0")
    assert [(event.kind.value, event.job_ids, event.worker) for event in page.events] == [
        ("accepted", (first, second), ""),
        ("accepted", (other,), ""),
        ("started", (first, second), "a"),
        ("started", (other,), "a"),
        ("returned", (second,), "a"),
        ("done", (first,), "a"),
        ("started", (second,), "b"),
        ("returned", (second,), "b"),
        ("cancelled", (second,), ""),
    ]
    job = await trial.desk.job(first)
    assert job is not None
    assert {(event.group, event.owner) for event in page.events if other not in event.job_ids} == {
        (job.group, "me")
    }
    assert {event.owner for event in page.events if other in event.job_ids} == {"them"}
    assert abs(page.events[0].at - job.accepted_at) < 1.0


async def test_dead_and_requeued_jobs_are_told_of(make_trial: MakeTrial) -> None:
    trial = make_trial(max_attempts=1)
    ids = tuple(await enqueued(trial, 2))
    retried, _ = await begun(trial, "a")
    await trial.source.retry("a", retried, FAILED)
    await trial.source.release("a")
    await trial.source.start("b", await trial.source.reclaim("b", count=9))
    await trial.desk.requeue(ids[0])
    page = await trial.desk.events("0-0")
    assert [(event.kind.value, event.job_ids, event.worker) for event in page.events] == [
        ("accepted", ids, ""),
        ("started", ids, "a"),
        ("dead", ids[:1], "a"),
        ("dead", ids[1:], "b"),
        ("requeued", ids[:1], ""),
    ]


async def test_a_call_that_changes_nothing_tells_nothing(trial: Trial) -> None:
    (job_id,) = await enqueued(trial)
    (assignment,) = await begun(trial)
    await finish(trial, assignment)
    before = await trial.desk.events("0-0")
    await finish(trial, assignment)
    await trial.desk.cancel(job_id)
    await trial.desk.requeue(job_id)
    await trial.desk.acknowledge(job_id)
    await trial.desk.expire()
    assert await trial.desk.events("0-0") == before


async def test_who_begins_to_read_gets_what_comes_from_then_on(trial: Trial) -> None:
    beginning = await trial.desk.events("", wait_seconds=4.0)  # it does not wait
    assert (beginning.events, beginning.is_complete, beginning.last_id) == ((), True, "0-0")
    await enqueued(trial)
    page = await trial.desk.events("")
    assert (page.events, page.is_complete) == ((), True)
    await trial.desk.tell(EventKind.FLEET, detail="scaled to 2 workers")
    (event,) = (await trial.desk.events(page.last_id)).events
    assert (event.kind, event.detail, event.job_ids, event.owner) == (
        EventKind.FLEET,
        "scaled to 2 workers",
        (),
        "",
    )
    assert len((await trial.desk.events(beginning.last_id)).events) == 2


async def test_reading_goes_on_where_a_page_ended(trial: Trial) -> None:
    for number in range(7):
        await trial.desk.tell(EventKind.FLEET, detail=str(number))
    pages, place = [], "0-0"
    while (page := await trial.desk.events(place, limit=3)).events:
        assert page.last_id == page.events[-1].id
        pages.append("".join(event.detail for event in page.events))
        place = page.last_id
    assert pages == ["012", "345", "6"]
    assert (page.last_id, page.is_complete) == (place, True)
    ids = [event.id for event in (await trial.desk.events("0-0")).events]
    assert ids == sorted(ids, key=lambda one: tuple(map(int, one.split("-"))))


async def test_who_waits_hears_of_the_very_first_event_and_of_later_ones_at_once(trial: Trial) -> None:
    place = "0-0"
    for detail in ("first", "second"):
        waiting = asyncio.create_task(trial.desk.events(place, wait_seconds=4.0))
        await asyncio.sleep(0.02)
        begin = asyncio.get_running_loop().time()
        await trial.desk.tell(EventKind.FLEET, detail=detail)
        page = await waiting
        assert [(event.detail, event.job_ids) for event in page.events] == [(detail, ())]
        assert asyncio.get_running_loop().time() - begin < 2.0
        place = page.last_id
    assert page.is_complete


@pytest.mark.parametrize("seconds", [0.02, 0.0001])
async def test_a_wait_for_events_ends(trial: Trial, seconds: float) -> None:
    for place in ("0-0", "1"):
        page = await trial.desk.events(place, wait_seconds=seconds)
        assert (page.events, page.last_id) == ((), "0-0")


async def test_a_wait_that_was_cancelled_harms_nothing(trial: Trial) -> None:
    for turns in range(20):  # at each of the places where it may wait
        waiting = asyncio.create_task(trial.desk.events("0-0", wait_seconds=4.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=1.0)
        assert waiting.cancelled()
    await trial.desk.tell(EventKind.FLEET, detail="scaled")
    assert len((await trial.desk.events("0-0", wait_seconds=4.0)).events) == 1


@pytest.mark.parametrize(
    "place",
    [
        "1-0",
        "99999999999999-0",
        "18446744073709551615-18446744073709551615",
        "18446744073709551616-0",
        "99999999999999999999-1",
        "0-1-2",
        "5",
        "-",
        "+",
        "$",
        "(0-0",
        "0-0 ",
        "\u0660-\u0660",
        "0-0\n",
        "\ud800",
        "1" * 10_000,
    ],
)
async def test_a_place_that_is_not_known_is_lost_and_goes_on_from_now(trial: Trial, place: str) -> None:
    empty = await trial.desk.events(place, wait_seconds=4.0)  # it does not wait
    assert (empty.events, empty.last_id, empty.is_complete) == ((), "0-0", False)
    await enqueued(trial)
    page = await trial.desk.events(place, wait_seconds=4.0)
    assert (page.events, page.is_complete) == ((), False)
    assert page.last_id == (await trial.desk.events("")).last_id


async def fill(trial: Trial) -> None:
    """As many events as are kept; on a server behind the queue's back, which is quicker."""
    behind = trial.trial if isinstance(trial, OffloadedTrial) else trial
    if not isinstance(behind, RedisTrial):
        for _ in range(CAP):
            await trial.desk.tell(EventKind.FLEET)
        return
    with behind.client.pipeline(transaction=False) as pipe:
        for _ in range(CAP):
            pipe.xadd(behind.keys.single("events"), {"kind": "fleet", "worker": "", "detail": ""})
        pipe.execute()


async def test_the_stream_is_capped_and_who_reads_too_slowly_is_told(trial: Trial) -> None:
    await trial.desk.tell(EventKind.FLEET, detail="oldest")
    slow = (await trial.desk.events("0-0")).last_id
    await fill(trial)
    await asyncio.gather(*(trial.desk.tell(EventKind.FLEET) for _ in range(SLACK)))
    now = (await trial.desk.events("")).last_id
    for place in (slow, "0-0"):
        page = await trial.desk.events(place)
        assert (page.events, page.last_id, page.is_complete) == ((), now, False)
    assert (await trial.desk.events(now)).is_complete
    await trial.desk.tell(EventKind.FLEET, detail="newest")
    assert [event.detail for event in (await trial.desk.events(now)).events] == ["newest"]


async def test_kinds_of_a_newer_version_are_left_out(server_trial: RedisTrial) -> None:
    trial = server_trial
    for fields in (
        {"kind": "teleported", "detail": "x"},
        {"kind": "fleet"},
        {"kind": "teleported"},
        {"x": "y"},
    ):
        newest = trial.client.xadd(trial.keys.single("events"), fields).decode()
    page = await trial.desk.events("0-0")
    assert [event.kind for event in page.events] == [EventKind.FLEET]
    assert (page.last_id, page.is_complete) == (newest, True)
    page = await trial.desk.events("0-0", limit=1)
    assert page.events == ()
    assert [event.kind for event in (await trial.desk.events(page.last_id, limit=1)).events] == [
        EventKind.FLEET
    ]


async def test_events_of_a_server_that_lost_them_start_anew(server_trial: RedisTrial) -> None:
    trial = server_trial
    await trial.desk.tell(EventKind.FLEET)
    place = (await trial.desk.events("0-0")).last_id
    trial.client.delete(trial.keys.single("events"))
    page = await trial.desk.events(place, wait_seconds=4.0)
    assert (page.events, page.last_id, page.is_complete) == ((), "0-0", False)
    await trial.desk.tell(EventKind.FLEET)
    assert not (await trial.desk.events(place)).is_complete


async def test_events_and_workers_outlive_a_killed_server(
    server_trial: RedisTrial, server: QueueServer
) -> None:
    trial = server_trial
    await trial.source.beat(WorkerInfo(name="ann", state=WorkerState.READY, host="pod-1", pid=1))
    await enqueued(trial, 3)
    before, workers = await trial.desk.events("0-0"), await trial.desk.workers()
    server.kill()
    server.start()
    assert await trial.desk.events("0-0") == before
    assert await trial.desk.workers() == workers
    await enqueued(trial)
    page = await trial.desk.events(before.last_id)
    assert ([event.kind.value for event in page.events], page.is_complete) == (["accepted"], True)
