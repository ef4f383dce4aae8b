"""What every queue promises of its bounds: by count and by bytes, wherever the bytes lie, and of results as well."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from heliograph.adapters.queue import redis_source
from heliograph.core import errors
from heliograph.core.jobs import JobResult, JobState, NewGroup, Outcome, Priority
from queue_trials import (
    MakeTrial,
    RedisTrial,
    Trial,
    begun,
    dead_job,
    enqueued,
    finish,
    ids_of,
    new_group,
    one_begun,
)

pytestmark = pytest.mark.anyio


def elsewhere(size: int) -> NewGroup:
    """A request whose payload lies in a blob store."""
    group = new_group(payload=b"")
    return replace(group, jobs=tuple(replace(job, kept_elsewhere=size) for job in group.jobs))


async def test_over_the_bound_of_jobs_nothing_of_a_request_is_stored(make_trial: MakeTrial) -> None:
    trial = make_trial(max_jobs=3, bulk_share=1.0)
    await enqueued(trial, 2)
    before = await trial.desk.counts()
    group = new_group(2)
    with pytest.raises(errors.QueueFull) as caught:
        await trial.desk.enqueue(group)
    assert 1.0 <= caught.value.retry_after_seconds <= 60.0
    assert replace(await trial.desk.counts(), backlog={}) == replace(before, backlog={})
    assert await trial.desk.group(group.id) is None
    assert await trial.desk.job(group.jobs[0].id) is None
    await enqueued(trial, 1)


async def test_running_jobs_count_and_settled_ones_make_room(make_trial: MakeTrial) -> None:
    trial = make_trial(max_jobs=2, bulk_share=1.0)
    await enqueued(trial, 2)
    first, _ = await begun(trial)
    with pytest.raises(errors.QueueFull):
        await enqueued(trial)
    await finish(trial, first)
    await enqueued(trial)


async def test_bytes_are_bounded_and_results_count(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0)
    assignment = await one_begun(trial, payload=bytes(100))
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, payload=b"1")
    answer = JobResult(data=bytes(60), media_type="image/png")
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=answer)])
    assert (await trial.desk.counts()).stored_bytes == 60
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, payload=bytes(41))
    await enqueued(trial, payload=bytes(40))
    assert (await trial.desk.counts()).stored_bytes == 100


async def test_bulk_leaves_room_for_those_that_somebody_waits_for(make_trial: MakeTrial) -> None:
    trial = make_trial(max_jobs=10, bulk_share=0.5)
    await enqueued(trial, 5)
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, 1)
    await enqueued(trial, 5, priority=Priority.INTERACTIVE)
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, 1, priority=Priority.INTERACTIVE)


async def test_bytes_in_a_blob_store_count_like_others(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0)
    await trial.desk.enqueue(elsewhere(70))
    with pytest.raises(errors.QueueFull):
        await trial.desk.enqueue(elsewhere(31))
    assert (await trial.desk.counts()).stored_bytes == 70
    (assignment,) = await begun(trial)
    assert assignment.payload == b""
    answer = JobResult(data=b"part", media_type="image/png", kept_elsewhere=56)
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=answer)])
    assert (await trial.desk.counts()).stored_bytes == 60
    stored = await trial.desk.result(assignment.delivery.job_id)
    assert stored is not None
    assert stored.data == b"part"
    await trial.desk.enqueue(elsewhere(40))
    await trial.desk.acknowledge(assignment.delivery.job_id)
    assert (await trial.desk.counts()).stored_bytes == 40


async def test_a_result_tells_how_much_of_it_lies_elsewhere(server_trial: RedisTrial) -> None:
    assignment = await one_begun(server_trial)
    answer = JobResult(data=b"part", media_type="image/png", kept_elsewhere=56)
    await server_trial.source.finish("worker", [Outcome(assignment=assignment, answer=answer)])
    assert await server_trial.desk.result(assignment.delivery.job_id) == answer


async def test_a_dead_job_whose_payload_lies_elsewhere_can_be_requeued(make_trial: MakeTrial) -> None:
    trial = make_trial(max_attempts=1)
    await trial.desk.enqueue(elsewhere(70))
    (assignment,) = await begun(trial)
    await trial.source.release("worker")
    await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert (await trial.desk.counts()).stored_bytes == 70
    job = await trial.desk.requeue(assignment.delivery.job_id)
    assert job is not None
    assert job.state is JobState.QUEUED
    assert (await trial.desk.counts()).stored_bytes == 70


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_full_queue_requeues_nothing(make_trial: MakeTrial, priority: Priority) -> None:
    trial = make_trial(max_jobs=4, bulk_share=0.5)
    bound = 4 if priority is Priority.INTERACTIVE else 2
    job_id = await dead_job(trial, priority=priority)
    ids = await enqueued(trial, bound, priority=priority)
    before = await trial.desk.job(job_id), await trial.desk.counts()
    with pytest.raises(errors.QueueFull) as caught:
        await trial.desk.requeue(job_id)
    assert 1.0 <= caught.value.retry_after_seconds <= 60.0
    after = await trial.desk.job(job_id), await trial.desk.counts()
    assert (after[0], replace(after[1], backlog={})) == (before[0], replace(before[1], backlog={}))
    await trial.desk.cancel(ids[0])
    for _ in range(2):  # the second has no effect, though the queue is full now
        job = await trial.desk.requeue(job_id)
        assert job is not None
        assert job.state is JobState.QUEUED


async def test_a_job_counts_until_its_result_is_gone(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=30, job_bytes=10, bulk_share=1.0)
    ids = await enqueued(trial, 2, payload=b"12345")
    assert (await trial.desk.counts()).stored_bytes == 10
    with pytest.raises(errors.QueueFull, match="bytes"):
        await enqueued(trial, payload=b"")
    await trial.desk.cancel(ids[0])
    with pytest.raises(errors.QueueFull, match="bytes"):
        await enqueued(trial, payload=b"123456")
    await trial.desk.acknowledge(ids[0])
    await enqueued(trial, payload=b"12345")
    with pytest.raises(errors.QueueFull, match="bytes"):
        await enqueued(trial, payload=b"")


# Results


async def with_result(trial: Trial, size: int) -> str:
    """The id of a job whose result takes so many bytes."""
    assignment = await one_begun(trial, "a")
    answer = JobResult(data=bytes(size), media_type="image/png")
    assert list(await trial.source.finish("a", [Outcome(assignment=assignment, answer=answer)])) == [True]
    return assignment.delivery.job_id


async def test_bulk_waits_while_results_take_too_much_room(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0, results_overrun=0.5)
    done = await with_result(trial, 60)
    bulk = await enqueued(trial, 2, payload=b"1")
    interactive = await enqueued(trial, payload=b"1", priority=Priority.INTERACTIVE)
    assert ids_of(await trial.source.read("a", count=9, prefer=Priority.BULK)) == list(interactive)
    assert not await trial.source.read("a", count=9, wait_seconds=0.02)
    waiting = asyncio.create_task(trial.source.read("a", count=9, wait_seconds=4.0))
    await asyncio.sleep(0.02)
    interactive = await enqueued(trial, payload=b"1", priority=Priority.INTERACTIVE)
    assert ids_of(await waiting) == list(interactive)
    assert (await trial.undelivered())[Priority.BULK] == 2
    await trial.desk.acknowledge(done)
    assert ids_of(await trial.source.read("a", count=9)) == list(bulk)


async def test_bulk_that_its_worker_lost_waits_as_well(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0, results_overrun=0.5)
    given = await enqueued(trial, payload=b"1")
    lost = await enqueued(trial, payload=b"1")
    interactive = await enqueued(trial, payload=b"1", priority=Priority.INTERACTIVE)
    _, to_give, _ = await begun(trial, "gone")
    done = await with_result(trial, 60)
    await trial.source.hand_back("gone", [to_give])
    await trial.later(11.0)
    assert ids_of(await trial.source.reclaim("b", count=9)) == list(interactive)
    await trial.desk.acknowledge(done)
    assert ids_of(await trial.source.reclaim("b", count=9)) == [*given, *lost]


async def test_bulk_does_not_wait_for_results_where_payloads_take_the_room(make_trial: MakeTrial) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0, results_overrun=0.5)
    await with_result(trial, 20)
    ids = await enqueued(trial, 2, payload=bytes(30))
    assert ids_of(await trial.source.read("a", count=1)) == [ids[0]]
    await trial.later(11.0)
    assert ids_of(await trial.source.reclaim("b", count=1)) == [ids[0]]


async def test_a_worker_to_which_jobs_come_one_by_one_finds_out_that_bulk_waits(
    make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(max_bytes=100, job_bytes=0, bulk_share=1.0, results_overrun=0.5)
    for _ in range(2):
        waiting = asyncio.create_task(trial.source.read("a", count=1, wait_seconds=4.0))
        await asyncio.sleep(0.02)
        await enqueued(trial, payload=b"1")
        (assignment,) = await trial.source.start("a", await waiting)
    answer = JobResult(data=bytes(60), media_type="image/png")
    await trial.source.finish("a", [Outcome(assignment=assignment, answer=answer)])
    ids = await enqueued(trial, payload=b"1")
    monkeypatch.setattr(redis_source, "LOOK_SECONDS", 0.0)
    assert not await trial.source.read("a", count=1, wait_seconds=0.02)
    await trial.desk.acknowledge(assignment.delivery.job_id)
    assert ids_of(await trial.source.read("a", count=1, wait_seconds=4.0)) == list(ids)
