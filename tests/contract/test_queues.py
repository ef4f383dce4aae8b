"""What every queue promises a worker: one suite over memory, Valkey and Redis.

After each test the fixture ends all jobs and finds that nothing is left behind and all numbers add up.
"""

from __future__ import annotations

import asyncio

import pytest

from heliograph.core.jobs import (
    Assignment,
    Delivery,
    JobProblem,
    JobResult,
    JobState,
    Outcome,
    Priority,
    Verdict,
)
from queue_trials import (
    PAYLOAD,
    RESULT,
    Trial,
    begun,
    enqueued,
    finish,
    ids_of,
    one_begun,
)

pytestmark = pytest.mark.anyio
BROKEN = JobProblem(code="picture-broken", message="The picture cannot be decoded.")
FAILED = JobProblem(code="engine-failed", message="The engine failed.")
LEASE = 10.0


async def state(trial: Trial, job_id: str) -> JobState:
    job = await trial.desk.job(job_id)
    assert job is not None
    return job.state


# Reading


async def test_jobs_are_read_in_their_order(trial: Trial) -> None:
    ids = [*await enqueued(trial, 3), *await enqueued(trial, 2)]
    assert ids_of(await trial.source.read("a", count=4)) == ids[:4]
    assert ids_of(await trial.source.read("b", count=4)) == ids[4:]
    assert not await trial.source.read("a", count=4)


async def test_who_is_waited_for_comes_first(trial: Trial) -> None:
    bulk = await enqueued(trial, 3)
    interactive = await enqueued(trial, 2, priority=Priority.INTERACTIVE)
    deliveries = await trial.source.read("a", count=3)
    assert ids_of(deliveries) == [*interactive, bulk[0]]
    assert [one.priority for one in deliveries] == [*[Priority.INTERACTIVE] * 2, Priority.BULK]


async def test_bulk_can_come_first(trial: Trial) -> None:
    interactive = await enqueued(trial, 2, priority=Priority.INTERACTIVE)
    bulk = await enqueued(trial, 2)
    assert ids_of(await trial.source.read("a", count=3, prefer=Priority.BULK)) == [*bulk, interactive[0]]


@pytest.mark.parametrize("priority", list(Priority))
async def test_a_waiting_worker_gets_a_job_at_once(trial: Trial, priority: Priority) -> None:
    waiting = asyncio.create_task(trial.source.read("a", count=4, wait_seconds=4.0))
    await asyncio.sleep(0.02)
    begin = asyncio.get_running_loop().time()
    ids = await enqueued(trial, priority=priority)
    assert ids_of(await waiting) == list(ids)
    assert asyncio.get_running_loop().time() - begin < 2.0


async def test_a_wait_ends_however_short_it_is(trial: Trial) -> None:
    for seconds in (0.02, 0.0001):
        assert not await trial.source.read("a", count=1, wait_seconds=seconds)
        assert not await trial.desk.finished("gateway", wait_seconds=seconds)


async def test_a_wait_that_was_cancelled_ends_at_once_and_harms_nothing(trial: Trial) -> None:
    for turns in range(40):  # at each of the places where it may wait
        waiting = asyncio.create_task(trial.source.read("a", count=1, wait_seconds=4.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=1.0)
        assert waiting.cancelled()
    ids = await enqueued(trial, 2)
    deliveries = [*await trial.source.read("b", count=2)]
    if len(deliveries) < 2:  # one fell to a wait that was about to end: its lease brings it back
        await trial.later(LEASE + 1)
        deliveries += await trial.source.reclaim("b", count=2)
    assert sorted(ids_of(deliveries)) == sorted(ids)


async def test_no_job_is_read_twice(trial: Trial) -> None:
    ids = await enqueued(trial, 60)
    reads = [trial.source.read(f"worker-{number}", count=7) for number in range(12)]
    found = [job_id for deliveries in await asyncio.gather(*reads) for job_id in ids_of(deliveries)]
    assert sorted(found) == sorted(ids)


# Starting


async def test_what_is_begun_is_complete(trial: Trial) -> None:
    ids = await enqueued(trial)
    deliveries = await trial.source.read("a", count=1)
    (assignment,) = await trial.source.start("a", deliveries)
    assert assignment.delivery == deliveries[0]
    assert (assignment.name, assignment.model, assignment.payload) == ("0.png", "tried", PAYLOAD)
    assert (assignment.parameters, assignment.attempt) == ("{}", 1)
    job = await trial.desk.job(ids[0])
    assert job is not None
    assert (job.state, job.worker, job.attempts) == (JobState.RUNNING, "a", 1)
    assert job.started_at is not None
    assert job.started_at >= job.accepted_at


async def test_only_who_got_a_job_may_begin_it(trial: Trial) -> None:
    await enqueued(trial)
    deliveries = await trial.source.read("a", count=1)
    assert not await trial.source.start("b", deliveries)
    assert len(await trial.source.start("a", deliveries)) == 1


async def test_starting_again_fences_off_the_first(trial: Trial) -> None:
    first = await one_begun(trial, "a")
    (second,) = await trial.source.start("a", [first.delivery])
    assert second.attempt == 2
    assert not await finish(trial, first, "a")
    assert await finish(trial, second, "a")


async def test_a_worker_that_overslept_before_it_began_may_not_begin(trial: Trial) -> None:
    await enqueued(trial)
    slept = await trial.source.read("a", count=1)
    await trial.later(LEASE + 1)
    taken = await trial.source.reclaim("b", count=1)
    assert not await trial.source.start("a", slept)
    assert len(await trial.source.start("b", taken)) == 1
    assert not await trial.source.start("a", slept)


async def test_of_a_batch_only_what_is_held_is_begun(trial: Trial) -> None:
    ids = await enqueued(trial, 3)
    deliveries = await trial.source.read("a", count=3)
    await trial.desk.cancel(ids[1])
    assert ids_of(await trial.source.start("a", deliveries)) == [ids[0], ids[2]]


async def test_starting_nothing_is_nothing(trial: Trial) -> None:
    assert not await trial.source.start("a", [])
    assert not await trial.source.finish("a", [])
    assert not await trial.source.renew("a", [])
    await trial.source.hand_back("a", [])


# Leases


async def test_a_renewed_lease_holds(trial: Trial) -> None:
    assignment = await one_begun(trial, "a")
    await enqueued(trial)
    (delivery,) = await trial.source.read("a", count=1)
    for _ in range(3):
        await trial.later(LEASE * 0.6)
        assert not await trial.source.reclaim("b", count=9)
        assert list(await trial.source.renew("a", [assignment, delivery])) == [Verdict.MINE] * 2
    assert await finish(trial, assignment, "a")


async def test_a_lease_that_ran_out_gives_the_job_to_another(trial: Trial) -> None:
    late = await one_begun(trial, "a")
    assert not await trial.source.reclaim("b", count=1)
    await trial.later(LEASE + 1)
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert (again.attempt, again.payload) == (2, PAYLOAD)
    assert not await finish(trial, late, "a")
    assert list(await trial.source.renew("a", [late])) == [Verdict.LOST]
    answer = JobResult(data=b"second", media_type="text/plain")
    assert list(await trial.source.finish("b", [Outcome(assignment=again, answer=answer)])) == [True]
    assert not await finish(trial, late, "a")
    assert await trial.desk.result(ids_of([late])[0]) == answer
    assert (await trial.desk.counts()).redelivered == 1


async def test_a_late_worker_may_finish_what_nobody_has_begun_again(trial: Trial) -> None:
    late = await one_begun(trial, "a")
    await trial.later(LEASE + 1)
    taken = await trial.source.reclaim("b", count=1)
    assert await finish(trial, late, "a")
    assert not await trial.source.start("b", taken)
    assert list(await trial.source.renew("b", taken)) == [Verdict.LOST]


async def test_a_late_worker_takes_back_what_nobody_has_begun_again(trial: Trial) -> None:
    late = await one_begun(trial, "a")
    await trial.later(LEASE + 1)
    taken = await trial.source.reclaim("b", count=1)
    assert list(await trial.source.renew("a", [late])) == [Verdict.MINE]
    assert list(await trial.source.renew("b", taken)) == [Verdict.LOST]
    assert not await trial.source.start("b", taken)
    await trial.source.hand_back("b", taken)
    assert not await trial.source.reclaim("c", count=1)
    assert await finish(trial, late, "a")


async def test_what_was_read_and_not_begun_comes_back_without_an_attempt(trial: Trial) -> None:
    await enqueued(trial)
    await trial.source.read("a", count=1)
    await trial.later(LEASE + 1)
    (assignment,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert assignment.attempt == 1


async def test_who_is_waited_for_is_reclaimed_first(trial: Trial) -> None:
    await enqueued(trial, 2)
    interactive = await enqueued(trial, 1, priority=Priority.INTERACTIVE)
    await trial.source.read("a", count=3)
    await trial.later(LEASE + 1)
    found = await trial.source.reclaim("b", count=2)
    assert ids_of(found)[0] == interactive[0]
    assert len(found) == 2
    assert len(await trial.source.reclaim("b", count=2)) == 1


async def test_a_worker_reclaims_its_own(trial: Trial) -> None:
    first = await one_begun(trial, "a")
    await trial.later(LEASE + 1)
    (second,) = await trial.source.start("a", await trial.source.reclaim("a", count=1))
    assert not await finish(trial, first, "a")
    assert await finish(trial, second, "a")


async def test_a_job_that_kills_its_workers_is_dead_and_harms_no_other(trial: Trial) -> None:
    ids = await enqueued(trial, 2)
    poison, mate = await begun(trial, "worker-0")
    assert await finish(trial, mate, "worker-0")
    for number in (1, 2, 3):
        await trial.later(LEASE + 1)
        worker = f"worker-{number}"
        started = await trial.source.start(worker, await trial.source.reclaim(worker, count=9))
        assert [one.attempt for one in started] == ([number + 1] if number < 3 else [])
    job = await trial.desk.job(ids[0])
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DEAD, 3)
    assert job.problem is not None
    assert job.problem.code == "attempts-exhausted"
    assert not await finish(trial, poison, "worker-0")
    assert await state(trial, ids[1]) is JobState.DONE


# Ends


async def test_a_result_is_stored_once(trial: Trial) -> None:
    assignment = await one_begun(trial)
    other = Outcome(assignment=assignment, answer=JobResult(data=b"other", media_type="text/plain"))
    assert await finish(trial, assignment)
    before = await trial.desk.counts()
    # The same call again, as after an answer that was lost on the way, is told that all is well.
    assert list(await trial.source.finish("worker", [other])) == [True]
    (job_id,) = ids_of([assignment])
    assert await trial.desk.result(job_id) == RESULT
    assert await trial.desk.counts() == before
    job = await trial.desk.job(job_id)
    assert job is not None
    assert (job.state, job.problem) == (JobState.DONE, None)
    assert job.finished_at is not None


async def test_an_input_at_fault_is_final_at_once(trial: Trial) -> None:
    assignment = await one_begun(trial)
    outcome = Outcome(assignment=assignment, answer=BROKEN)
    assert list(await trial.source.finish("worker", [outcome, outcome])) == [True, True]
    job = await trial.desk.job(ids_of([assignment])[0])
    assert job is not None
    assert (job.state, job.problem, job.attempts) == (JobState.FAILED, BROKEN, 1)
    assert await trial.desk.result(job.id) is None
    assert (await trial.desk.counts()).stored_bytes == 0


async def test_of_a_batch_only_what_was_lost_is_lost(trial: Trial) -> None:
    ids = await enqueued(trial, 3)
    batch = await begun(trial)
    await trial.desk.cancel(ids[1])
    outcomes = [Outcome(assignment=one, answer=RESULT) for one in batch]
    assert list(await trial.source.finish("worker", outcomes)) == [True, False, True]
    assert [await state(trial, job_id) for job_id in ids] == [
        JobState.DONE,
        JobState.CANCELLED,
        JobState.DONE,
    ]


async def test_a_failure_on_our_side_is_tried_again_until_attempts_are_used_up(trial: Trial) -> None:
    assignment = await one_begun(trial, "a")
    (job_id,) = ids_of([assignment])
    for attempt in (1, 2):
        assert await trial.source.retry("a", assignment, FAILED)
        assert await state(trial, job_id) is JobState.QUEUED
        (assignment,) = await trial.source.start("a", await trial.source.reclaim("a", count=1))
        assert assignment.attempt == attempt + 1
    assert await trial.source.retry("a", assignment, FAILED)
    assert await trial.source.retry("a", assignment, FAILED)  # the same call again
    job = await trial.desk.job(job_id)
    assert job is not None
    assert (job.state, job.problem, job.attempts) == (JobState.DEAD, FAILED, 3)
    assert not await finish(trial, assignment, "a")


async def test_a_problem_that_was_overcome_is_not_shown(trial: Trial) -> None:
    assignment = await one_begun(trial, "a")
    await trial.source.retry("a", assignment, FAILED)
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert await finish(trial, again, "b")
    job = await trial.desk.job(ids_of([again])[0])
    assert job is not None
    assert job.problem is None


async def test_what_is_handed_back_goes_to_others_at_once_and_costs_no_attempt(trial: Trial) -> None:
    ids = await enqueued(trial, 2)
    first, second = await trial.source.read("a", count=2)
    (started,) = await trial.source.start("a", [first])
    held: list[Delivery | Assignment] = [started, second]
    await trial.source.hand_back("a", held)
    await trial.source.hand_back("a", held)  # the same call again
    assert [await state(trial, job_id) for job_id in ids] == [JobState.QUEUED] * 2
    assert list(await trial.source.renew("a", held)) == [Verdict.LOST] * 2
    taken = await trial.source.reclaim("b", count=9)
    assert sorted(ids_of(taken)) == sorted(ids)
    assert [one.attempt for one in await trial.source.start("b", taken)] == [1, 1]
    assert not await finish(trial, started, "a")


async def test_what_a_dead_worker_held_goes_to_others_at_once(trial: Trial) -> None:
    ids = await enqueued(trial, 3)
    read = await trial.source.read("a", count=3)
    await trial.source.start("a", read[:1])
    assert await trial.source.release("a") == 3
    assert await trial.source.release("a") == 0
    started = await trial.source.start("b", await trial.source.reclaim("b", count=9))
    assert {job_id: one.attempt for job_id, one in zip(ids_of(started), started, strict=True)} == {
        ids[0]: 2,
        ids[1]: 1,
        ids[2]: 1,
    }


async def test_a_worker_that_was_not_dead_goes_on(trial: Trial) -> None:
    assignment = await one_begun(trial, "a")
    assert await trial.source.release("a") == 1
    assert list(await trial.source.renew("a", [assignment])) == [Verdict.MINE]
    assert not await trial.source.reclaim("b", count=1)
    assert await finish(trial, assignment, "a")


async def test_a_cancelled_job_is_told_to_its_worker(trial: Trial) -> None:
    ids = await enqueued(trial, 2)
    first, second = await trial.source.read("a", count=2)
    (started,) = await trial.source.start("a", [first])
    for job_id in ids:
        job = await trial.desk.cancel(job_id)
        assert job is not None
        assert job.state is JobState.CANCELLED
    assert list(await trial.source.renew("a", [started, second])) == [Verdict.CANCELLED] * 2
    assert not await finish(trial, started, "a")
    assert not await trial.source.retry("a", started, FAILED)
    assert not await trial.source.start("a", [second])
    await trial.later(LEASE + 1)
    assert not await trial.source.reclaim("b", count=9)


async def test_a_job_cancelled_before_it_was_read_is_not_begun(trial: Trial) -> None:
    ids = await enqueued(trial, 3)
    await trial.desk.cancel(ids[1])
    assert ids_of(await begun(trial)) == [ids[0], ids[2]]
