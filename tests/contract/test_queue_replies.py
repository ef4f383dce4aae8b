"""What every queue tells a gateway whose clients wait: one suite over memory, Valkey and Redis."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.core.jobs import FinishedJob, JobResult, Outcome, Priority
from queue_trials import FAILED, RESULT, Trial, begun, enqueued, finish, one_begun

pytestmark = pytest.mark.anyio


async def result_of(trial: Trial, told: FinishedJob) -> JobResult | None:
    """The result that came along, which must be the one that is stored, or else the stored one."""
    stored = await trial.desk.result(told.job_id)
    assert told.result in (None, stored)
    return told.result or stored


async def test_a_gateway_hears_of_what_it_waits_for(trial: Trial) -> None:
    waiting = asyncio.create_task(trial.desk.finished("gateway-1", wait_seconds=4.0))
    await asyncio.sleep(0.02)
    assignment = await one_begun(trial, reply_to="gateway-1", priority=Priority.INTERACTIVE)
    await finish(trial, assignment)
    (told,) = await waiting
    assert told.job_id == assignment.delivery.job_id
    assert await result_of(trial, told) == RESULT
    assert not await trial.desk.finished("gateway-1", wait_seconds=0.02)


async def test_a_gateway_hears_of_every_end_and_of_its_own_alone(trial: Trial) -> None:
    ids = await enqueued(trial, 3, reply_to="gateway-1")
    others = await enqueued(trial, 130, reply_to="gateway-2")
    first, second, *rest = await begun(trial, count=1000)
    await trial.source.finish("worker", [Outcome(assignment=first, answer=FAILED)])
    await finish(trial, second)
    await trial.desk.cancel(ids[2])
    told = await trial.desk.finished("gateway-1", wait_seconds=1.0)
    assert [one.job_id for one in told] == list(ids)
    assert [await result_of(trial, one) for one in told] == [None, RESULT, None]
    await trial.source.finish("worker", [Outcome(assignment=one, answer=RESULT) for one in rest[1:]])
    heard = [*await trial.desk.finished("gateway-2", wait_seconds=1.0)]
    heard += await trial.desk.finished("gateway-2", wait_seconds=1.0)
    assert [one.job_id for one in heard] == list(others)


async def test_a_large_result_has_to_be_asked_for(trial: Trial) -> None:
    assignment = await one_begun(trial, reply_to="gateway")
    large = JobResult(data=bytes(1_000_000), media_type="image/png", facts='{"a": 1}')
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=large)])
    (told,) = await trial.desk.finished("gateway", wait_seconds=1.0)
    assert await result_of(trial, told) == large


async def test_results_with_line_breaks_come_along_whole(trial: Trial) -> None:
    assignment = await one_begun(trial, reply_to="gateway")
    result = JobResult(data=b"a\nb\n\nc", media_type="text/plain", facts="{}")
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=result)])
    (told,) = await trial.desk.finished("gateway", wait_seconds=1.0)
    assert await result_of(trial, told) == result


async def test_many_results_are_forgotten_at_once(trial: Trial) -> None:
    done, failed, waiting = await enqueued(trial, 3)
    first, second = await begun(trial, count=2)
    await finish(trial, first)
    await trial.source.finish("worker", [Outcome(assignment=second, answer=FAILED)])
    for _ in range(2):
        await trial.desk.forget([done, failed, waiting, "unknown"])
    known = [await trial.desk.job(job_id) for job_id in (done, failed, waiting)]
    assert [job.is_expired for job in known if job] == [True, True, False]
    assert await trial.desk.result(done) is None
    assert (await trial.desk.counts()).expired == 2
