"""What every queue tells of how long jobs took lately, from accepted to their end."""

from __future__ import annotations

import time

import pytest

from heliograph.core.durations import ACCURACY, SPAN_SECONDS, SPANS_BEFORE
from heliograph.core.jobs import JobState, Outcome
from queue_trials import FAILED, RESULT, RedisTrial, Trial, begun, dead_job, enqueued, finish, one_begun

pytestmark = pytest.mark.anyio
A_MINUTE = SPAN_SECONDS * (SPANS_BEFORE + 2)


async def p95(trial: Trial) -> float | None:
    return (await trial.desk.counts()).p95_seconds


async def test_it_is_told_once_a_job_has_ended(trial: Trial) -> None:
    began = time.monotonic()
    assert await p95(trial) is None
    assignment = await one_begun(trial)
    assert await p95(trial) is None
    await finish(trial, assignment)
    told = await p95(trial)
    assert told is not None
    assert 0.0 < told <= (time.monotonic() - began) * (1 + ACCURACY) + 0.001
    await finish(trial, assignment)  # the same call again
    assert await p95(trial) == told


async def test_each_end_counts_but_that_by_a_client(trial: Trial) -> None:
    (job_id,) = await enqueued(trial)
    await trial.desk.cancel(job_id)
    assert await p95(trial) is None
    assignment = await one_begun(trial)
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=FAILED)])
    assert await p95(trial) is not None
    await trial.later(A_MINUTE)
    assert await p95(trial) is None
    await dead_job(trial)
    assert await p95(trial) is not None


async def test_of_those_in_the_last_minute(trial: Trial) -> None:
    await finish(trial, await one_begun(trial))
    assert await p95(trial) is not None
    await trial.later(A_MINUTE)
    assert await p95(trial) is None


def milliseconds_of(trial: RedisTrial) -> int:
    """The server's time."""
    seconds, micros = trial.client.time()
    return int(1000 * seconds + micros // 1000)


@pytest.mark.parametrize("seconds", [0.004, 0.25, 3.0, 70.0, 5000.0, 90_000.0])
async def test_a_server_counts_as_we_do(server_trial: RedisTrial, seconds: float) -> None:
    trial = server_trial
    await enqueued(trial, 20)
    assignments = await begun(trial)
    now_ms = milliseconds_of(trial)
    for assignment in assignments:
        job = trial.keys.of("job", assignment.delivery.job_id)
        trial.client.hset(job, "accepted", now_ms - int(1000 * seconds))
    outcomes = [Outcome(assignment=assignment, answer=RESULT) for assignment in assignments]
    assert all(await trial.source.finish("worker", outcomes))
    late = (milliseconds_of(trial) - now_ms) / 1000
    told = await p95(trial)
    assert told is not None
    assert seconds * (1 - ACCURACY) <= told <= (seconds + late + 0.002) * (1 + ACCURACY)
    counts = await trial.desk.counts()
    assert counts.finished[JobState.DONE] == 20
    (key,) = trial.client.keys("*durations:*")
    assert sum(map(int, trial.client.hvals(key))) == 20
    assert 0 < trial.client.ttl(key) <= A_MINUTE
