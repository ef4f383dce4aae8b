"""What every queue promises a gateway: one suite over memory, Valkey and Redis."""

from __future__ import annotations

import asyncio

import pytest

from blob_trials import OffloadedTrial
from heliograph.core import errors
from heliograph.core.jobs import JobState, Outcome, Priority
from heliograph.core.queue import QueueRules
from queue_trials import (
    FAILED,
    PAYLOAD,
    RESULT,
    MakeTrial,
    MemoryTrial,
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
DAY = 86_400.0
HOUR = 3600.0


# Taking in


async def test_a_request_is_stored_whole(trial: Trial) -> None:
    group = new_group(3, owner="ann", priority=Priority.INTERACTIVE)
    stored = await trial.desk.enqueue(group)
    assert (stored.id, stored.owner, stored.is_new) == (group.id, "ann", True)
    assert stored.counts == {JobState.QUEUED: 3}
    assert stored.job_ids == tuple(job.id for job in group.jobs)
    job = await trial.desk.job(group.jobs[1].id)
    assert job is not None
    assert (job.group, job.owner, job.name, job.model) == (group.id, "ann", "1.png", "tried")
    assert (job.priority, job.state, job.attempts) == (Priority.INTERACTIVE, JobState.QUEUED, 0)
    assert (job.started_at, job.finished_at, job.problem, job.is_expired) == (None, None, None, False)
    assert await trial.desk.result(job.id) is None


async def test_nobody_knows_what_was_never_there(trial: Trial) -> None:
    desk = trial.desk
    assert await desk.group("none") is None
    assert await desk.result("none") is None
    for ask in (desk.job, desk.cancel, desk.acknowledge, desk.requeue):
        assert await ask("none") is None


async def test_one_call_takes_thousands(trial: Trial) -> None:
    count = (
        500 if isinstance(trial, OffloadedTrial) else 4500
    )  # each is a file there, and a server gets fewer bytes
    ids = await enqueued(trial, count)
    assert (await trial.desk.counts()).backlog[Priority.BULK].waiting == count
    assignments = await begun(trial, count=count)
    assert ids_of(assignments) == list(ids)
    outcomes = [Outcome(assignment=one, answer=RESULT) for one in assignments]
    assert all(await trial.source.finish("worker", outcomes))


async def test_the_same_call_again_stores_nothing(trial: Trial) -> None:
    group = new_group(2, idempotency_key="k")
    first, second = await trial.desk.enqueue(group), await trial.desk.enqueue(group)
    assert first == second
    counts = await trial.desk.counts()
    assert (counts.accepted, counts.stored_bytes) == (2, 2 * len(PAYLOAD))
    assert len(await trial.source.read("a", count=9)) == 2


# Idempotency keys


async def test_an_idempotency_key_stands_for_its_group(trial: Trial) -> None:
    first = await trial.desk.enqueue(new_group(2, idempotency_key="k", fingerprint="f"))
    (assignment, *_) = await begun(trial)
    await finish(trial, assignment)
    again = await trial.desk.enqueue(new_group(2, idempotency_key="k", fingerprint="f"))
    assert (again.id, again.job_ids, again.is_new) == (first.id, first.job_ids, False)
    assert again.counts == {JobState.DONE: 1, JobState.RUNNING: 1}
    assert (await trial.desk.counts()).accepted == 2


async def test_an_idempotency_key_refuses_another_body(trial: Trial) -> None:
    await enqueued(trial, idempotency_key="k", fingerprint="f")
    with pytest.raises(errors.IdempotencyConflict):
        await enqueued(trial, idempotency_key="k", fingerprint="other")


async def test_an_idempotency_key_belongs_to_its_owner(trial: Trial) -> None:
    for owner, key in (("a", "b:c"), ("a:b", "c"), ("a:b:c", "d"), ("", "a:b:c")):
        group = await trial.desk.enqueue(new_group(owner=owner, idempotency_key=key))
        assert group.is_new


async def test_an_idempotency_key_is_known_for_a_day_even_of_a_full_queue(make_trial: MakeTrial) -> None:
    trial = make_trial(max_jobs=1, bulk_share=1.0)
    first = await trial.desk.enqueue(new_group(idempotency_key="k"))
    assert (await trial.desk.enqueue(new_group(idempotency_key="k"))).id == first.id
    await trial.desk.cancel(first.job_ids[0])
    await trial.later(DAY - 60)
    assert (await trial.desk.enqueue(new_group(idempotency_key="k"))).id == first.id
    await trial.later(120)
    assert (await trial.desk.enqueue(new_group(idempotency_key="k"))).is_new


async def test_an_idempotency_key_whose_jobs_were_forgotten_early_starts_nothing(
    make_trial: MakeTrial,
) -> None:
    trial = make_trial(max_memories=0)
    (job_id,) = await enqueued(trial, idempotency_key="k")
    await trial.desk.cancel(job_id)
    await trial.desk.acknowledge(job_id)
    await trial.desk.expire()
    with pytest.raises(errors.IdempotencyConflict):
        await enqueued(trial, idempotency_key="k")


async def test_idempotency_keys_are_bounded_and_go_when_they_are_over() -> None:
    trial = MemoryTrial(QueueRules(max_keys=3))
    for number in range(5):
        await enqueued(trial, idempotency_key=f"k{number}")
    assert [await trial.desk.expire(limit=1) for _ in range(3)] == [1, 1, 0]
    assert [(await trial.desk.enqueue(new_group(idempotency_key=f"k{n}"))).is_new for n in (4, 3, 2, 1)] == [
        False, False, False, True,
    ]  # fmt: skip
    await trial.later(DAY + 60)
    assert (await trial.desk.enqueue(new_group(idempotency_key="k2"))).is_new
    assert await trial.desk.expire() == 3
    assert not (await trial.desk.enqueue(new_group(idempotency_key="k2"))).is_new


# Asking


async def test_a_group_counts_its_jobs(trial: Trial) -> None:
    ids = await enqueued(trial, 5)
    done, failed, running, *_ = await begun(trial, count=3)
    outcomes = [Outcome(assignment=done, answer=RESULT), Outcome(assignment=failed, answer=FAILED)]
    await trial.source.finish("worker", outcomes)
    await trial.desk.cancel(ids[4])
    await trial.source.release("worker")
    assert len(await trial.source.start("b", await trial.source.reclaim("b", count=9))) == 1
    job = await trial.desk.job(running.delivery.job_id)
    assert job is not None
    group = await trial.desk.group(job.group)
    assert group is not None
    states = (JobState.DONE, JobState.FAILED, JobState.RUNNING, JobState.QUEUED, JobState.CANCELLED)
    assert group.counts == dict.fromkeys(states, 1)
    assert group.job_ids == tuple(ids)


async def test_the_jobs_of_a_group_come_in_the_order_of_its_request(trial: Trial) -> None:
    ids = await enqueued(trial, 7)
    await enqueued(trial, 2)
    job = await trial.desk.job(ids[0])
    assert job is not None
    for offset, limit in ((0, 100), (0, 3), (3, 3), (6, 3), (7, 3), (100, 3), (0, 0), (2, 0), (-2, 2)):
        jobs = await trial.desk.group_jobs(job.group, offset=offset, limit=limit)
        assert [one.id for one in jobs] == (list(ids[offset : offset + limit]) if offset >= 0 else [])
    assert list(await trial.desk.group_jobs(job.group, limit=1)) == [job]
    assert not await trial.desk.group_jobs("none")


async def test_a_group_lists_the_jobs_that_are_known(make_trial: MakeTrial) -> None:
    trial = make_trial(max_memories=1)
    ids = await enqueued(trial, 4)
    for job_id in ids[:2]:
        await trial.desk.cancel(job_id)
        await trial.desk.acknowledge(job_id)
        await trial.later(1)
    await trial.desk.expire()
    job = await trial.desk.job(ids[1])
    assert job is not None
    jobs = await trial.desk.group_jobs(job.group)
    assert [(one.id, one.is_expired) for one in jobs] == [(ids[1], True), (ids[2], False), (ids[3], False)]


async def test_facts_are_told_while_the_result_is_there(trial: Trial) -> None:
    done, failed = [await one_begun(trial) for _ in range(2)]
    assert [one.facts for one in (await trial.desk.jobs(None)).jobs] == ["", ""]
    await finish(trial, done)
    await trial.source.finish("worker", [Outcome(assignment=failed, answer=FAILED)])
    assert [one.facts for one in (await trial.desk.jobs(None)).jobs] == ["", RESULT.facts]
    job = await trial.desk.acknowledge(done.delivery.job_id)
    assert job is not None
    assert job.facts == ""


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "+inf", "(1", "٣", "1\n", "9" * 400, "\ud800"])
async def test_a_list_refuses_a_cursor_that_is_none(trial: Trial, cursor: str) -> None:
    await enqueued(trial)
    with pytest.raises(errors.ParameterInvalid):
        await trial.desk.jobs("me", cursor=cursor)


async def test_lists_are_paged_newest_first(trial: Trial) -> None:
    mine = [job_id for _ in range(3) for job_id in await enqueued(trial, 2, owner="me")]
    theirs = await enqueued(trial, 2, owner="them")
    pages = []
    cursor = ""
    while True:
        page = await trial.desk.jobs("me", cursor=cursor, limit=4)
        pages.append([job.id for job in page.jobs])
        await enqueued(trial, 1, owner="me")  # what comes meanwhile moves no page
        cursor = page.next_cursor
        if not cursor:
            break
    assert pages == [mine[:1:-1], mine[1::-1]]
    assert [job.id for job in (await trial.desk.jobs("them")).jobs] == list(reversed(theirs))
    assert len((await trial.desk.jobs(None, limit=100)).jobs) == 10
    assert (await trial.desk.jobs("nobody")).jobs == ()


async def test_the_queue_in_numbers(trial: Trial) -> None:
    await enqueued(trial, 3)
    await enqueued(trial, 1, priority=Priority.INTERACTIVE)
    deliveries = await trial.source.read("a", count=2)
    await trial.source.start("a", deliveries)
    counts = await trial.desk.counts()
    bulk, interactive = counts.backlog[Priority.BULK], counts.backlog[Priority.INTERACTIVE]
    assert (bulk.waiting, bulk.running, interactive.waiting, interactive.running) == (2, 1, 0, 1)
    assert bulk.oldest_waiting_seconds >= 0.0
    assert interactive.oldest_waiting_seconds == 0.0
    assert (counts.accepted, counts.stored_bytes) == (4, 4 * len(PAYLOAD))
    assert set(counts.finished.values()) == {0}


async def test_who_waits_longest_is_told_and_cancelled_jobs_do_not_wait(trial: Trial) -> None:
    (job_id,) = await enqueued(trial)
    await asyncio.sleep(0.02)  # of a real server
    await trial.later(0.02)  # of a queue in memory
    assert (await trial.desk.counts()).backlog[Priority.BULK].oldest_waiting_seconds > 0.01
    await trial.desk.cancel(job_id)
    assert (await trial.desk.counts()).backlog[Priority.BULK].oldest_waiting_seconds == 0.0


# Ends


async def test_only_open_jobs_can_be_cancelled(trial: Trial) -> None:
    assignment = await one_begun(trial)
    await finish(trial, assignment)
    before = await trial.desk.job(assignment.delivery.job_id)
    assert await trial.desk.cancel(assignment.delivery.job_id) == before
    (job_id,) = await enqueued(trial)
    first = await trial.desk.cancel(job_id)
    assert first is not None
    assert await trial.desk.cancel(job_id) == first
    assert (await trial.desk.counts()).finished[JobState.CANCELLED] == 1


async def test_an_acknowledged_result_is_gone_and_known_to_have_been(trial: Trial) -> None:
    assignment = await one_begun(trial)
    job_id = assignment.delivery.job_id
    open_job = await trial.desk.acknowledge(job_id)
    assert open_job is not None
    assert not open_job.is_expired
    await finish(trial, assignment)
    for _ in range(2):
        job = await trial.desk.acknowledge(job_id)
        assert job is not None
        assert (job.is_expired, job.state, job.name) == (True, JobState.DONE, "0.png")
        assert await trial.desk.result(job_id) is None
        counts = await trial.desk.counts()
        assert (counts.stored_bytes, counts.expired) == (0, 1)
    assert (await trial.desk.jobs("me")).jobs == ()
    assert await finish(trial, assignment)  # the same call again; nothing is stored again
    assert await trial.desk.result(job_id) is None


async def test_a_dead_job_is_kept_and_can_be_requeued(trial: Trial) -> None:
    job_id = await dead_job(trial)
    job = await trial.desk.job(job_id)
    assert job is not None
    assert (job.state, job.problem) == (JobState.DEAD, FAILED)
    assert (await trial.desk.counts()).stored_bytes == len(PAYLOAD)
    for _ in range(2):  # the second has no effect
        job = await trial.desk.requeue(job_id)
        assert job is not None
        assert (job.state, job.attempts, job.problem, job.worker) == (JobState.QUEUED, 0, None, "")
        assert (job.started_at, job.finished_at) == (None, None)
    await trial.later(2 * HOUR)
    assert await trial.desk.expire() == 0
    (assignment,) = await begun(trial)
    assert (assignment.attempt, assignment.payload) == (1, PAYLOAD)
    assert await finish(trial, assignment)
    counts = await trial.desk.counts()
    assert (counts.finished[JobState.DEAD], counts.finished[JobState.DONE]) == (0, 1)


async def test_a_dead_job_whose_picture_is_gone_stays_dead(trial: Trial) -> None:
    job_id = await dead_job(trial)
    await trial.later(2 * HOUR)
    assert await trial.desk.expire() == 1
    job = await trial.desk.requeue(job_id)
    assert job is not None
    assert (job.state, job.is_expired) == (JobState.DEAD, True)
    assert not await trial.source.read("a", count=1)


async def test_only_dead_jobs_are_requeued(trial: Trial) -> None:
    ids = await enqueued(trial, 4)
    done, failed, _ = await begun(trial, count=3)
    outcomes = [Outcome(assignment=done, answer=RESULT), Outcome(assignment=failed, answer=FAILED)]
    await trial.source.finish("worker", outcomes)
    for job_id in ids:
        assert await trial.desk.job(job_id) == await trial.desk.requeue(job_id)
    assert len(await trial.source.read("a", count=9)) == 1


async def test_results_expire_visibly_and_are_forgotten_a_day_later(trial: Trial) -> None:
    assignment = await one_begun(trial)
    job_id = assignment.delivery.job_id
    await finish(trial, assignment)
    await trial.later(HOUR - 60)
    assert await trial.desk.expire() == 0
    assert await trial.desk.result(job_id) == RESULT
    await trial.later(120)
    assert await trial.desk.expire() == 1
    job = await trial.desk.job(job_id)
    assert job is not None
    assert job.is_expired
    assert await trial.desk.result(job_id) is None
    assert (await trial.desk.jobs(None)).jobs == ()
    await trial.later(DAY - 120)
    assert await trial.desk.expire() == 0
    assert await trial.desk.group(job.group) is not None
    await trial.later(240)
    assert await trial.desk.expire() == 1
    assert await trial.desk.job(job_id) is None
    assert await trial.desk.group(job.group) is None


async def test_open_jobs_do_not_expire(trial: Trial) -> None:
    await one_begun(trial)
    await enqueued(trial)
    await trial.later(30 * DAY)
    assert await trial.desk.expire() == 0
    counts = await trial.desk.counts()
    assert counts.backlog[Priority.BULK].waiting + counts.backlog[Priority.BULK].running == 2


async def test_one_call_removes_so_many(trial: Trial) -> None:
    ids = await enqueued(trial, 10)
    for job_id in ids:
        await trial.desk.cancel(job_id)
    await trial.later(2 * HOUR)
    assert [await trial.desk.expire(limit=4) for _ in range(4)] == [4, 4, 2, 0]
    await trial.later(2 * DAY)
    assert [await trial.desk.expire(limit=4) for _ in range(4)] == [4, 4, 2, 0]


async def test_memories_are_bounded_and_the_oldest_go_first(make_trial: MakeTrial) -> None:
    trial = make_trial(max_memories=2)
    ids = await enqueued(trial, 5)
    for job_id in ids:
        await trial.desk.cancel(job_id)
        await trial.desk.acknowledge(job_id)
        await trial.later(1)
    assert await trial.desk.expire(limit=2) == 2
    assert await trial.desk.expire(limit=2) == 1
    assert await trial.desk.expire(limit=2) == 0
    assert [await trial.desk.job(job_id) is None for job_id in ids] == [True, True, True, False, False]
