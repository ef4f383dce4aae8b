"""Both ends of a queue over a blob store: what is put where, and removed when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from blob_trials import OffloadedTrial, blob_files
from heliograph.core import errors
from heliograph.core.blobs import BlobName
from heliograph.core.jobs import Delivery, Group, JobProblem, JobResult, JobState, NewGroup, Outcome
from heliograph.core.queue import QueueRules
from heliograph.serving.offloading import payload_of
from queue_trials import (
    PAYLOAD,
    RESULT,
    MemoryTrial,
    begun,
    enqueued,
    finish,
    ids_of,
    new_group,
    one_begun,
)

pytestmark = pytest.mark.anyio
BROKEN = JobProblem(code="picture-broken", message="The picture cannot be decoded.")
LEASE = 10.0
Files = Callable[[], Sequence[str]]


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[OffloadedTrial]:
    offloaded = OffloadedTrial(MemoryTrial(QueueRules(max_jobs=10, bulk_share=1.0)), tmp_path)
    yield offloaded
    await offloaded.close()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The blobs that are there."""
    return lambda: blob_files(tmp_path)


async def state(trial: OffloadedTrial, job_id: str) -> JobState:
    job = await trial.desk.job(job_id)
    assert job is not None
    return job.state


async def test_a_job_without_a_frame_is_no_picture(trial: OffloadedTrial) -> None:
    (job_id,) = (await trial.trial.desk.enqueue(new_group(payload=b"\xff\xd8 a picture"))).job_ids
    await die_trying(trial, job_id)
    job = await trial.desk.job(job_id)
    assert job is not None
    assert job.problem is not None
    assert job.problem.code == "internal"


async def die_trying(trial: OffloadedTrial, job_id: str) -> None:
    """Begins with a job until there is no attempt left; none may succeed."""
    deliveries = await trial.source.read("worker", count=1)
    for _ in range(3):
        assert ids_of(deliveries) == [job_id]
        assert not await trial.source.start("worker", deliveries)
        deliveries = await trial.source.reclaim("worker", count=1)
    assert await state(trial, job_id) is JobState.DEAD


# Taking in


async def test_what_is_refused_leaves_nothing(trial: OffloadedTrial, files: Files) -> None:
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, 11)
    await enqueued(trial, 2, idempotency_key="k", fingerprint="f")
    before = files()
    assert len(before) == 2
    with pytest.raises(errors.IdempotencyConflict):
        await enqueued(trial, 2, idempotency_key="k", fingerprint="other")
    again = await trial.desk.enqueue(new_group(2, idempotency_key="k", fingerprint="f"))
    assert not again.is_new
    assert files() == before
    assert [one.payload for one in await begun(trial)] == [PAYLOAD] * 2


async def test_what_was_stored_in_truth_is_kept_whatever_is_said(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call's answer was lost, and the second found a full server."""
    enqueue = trial.trial.desk.enqueue

    async def refuse(group: NewGroup) -> Group:
        await enqueue(group)
        raise errors.QueueFull

    monkeypatch.setattr(trial.trial.desk, "enqueue", refuse)
    with pytest.raises(errors.QueueFull):
        await trial.desk.enqueue(new_group())
    (assignment,) = await begun(trial)
    assert assignment.payload == PAYLOAD


async def test_what_may_have_been_stored_is_left_to_the_sweep(
    trial: OffloadedTrial, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(group: NewGroup) -> Group:
        raise errors.QueueUnavailable

    monkeypatch.setattr(trial.trial.desk, "enqueue", fail)
    with pytest.raises(errors.QueueUnavailable):
        await enqueued(trial)
    assert len(files()) == 1
    assert await trial.sweep() == 1
    assert files() == []


async def test_while_the_queue_is_away_nothing_is_put_beside_it(
    trial: OffloadedTrial, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(asked: object) -> None:
        raise errors.QueueUnavailable

    for call in ("group", "enqueue"):
        monkeypatch.setattr(trial.trial.desk, call, fail)
    with pytest.raises(errors.QueueUnavailable):
        await enqueued(trial)
    assert files() == []


async def test_a_store_that_is_away_takes_no_jobs(trial: OffloadedTrial, files: Files) -> None:
    with trial.away():
        with pytest.raises(errors.BlobStoreUnavailable) as caught:
            await enqueued(trial, 3)
        assert caught.value.retry_after_seconds > 0
    assert (await trial.desk.counts()).accepted == 0
    assert files() == []


# Beginning


async def test_a_picture_that_the_store_lost_ends_dead(trial: OffloadedTrial, files: Files) -> None:
    (job_id,) = await enqueued(trial)
    trial.blobs.remove(payload_of(job_id))
    await die_trying(trial, job_id)
    job = await trial.desk.job(job_id)
    assert job is not None
    assert job.problem is not None
    assert (job.problem.code, job.attempts) == ("payload-lost", 3)


async def test_while_the_store_is_away_jobs_go_back_and_no_attempt_counts(trial: OffloadedTrial) -> None:
    ids = await enqueued(trial, 2)
    deliveries = await trial.source.read("a", count=2)
    with trial.away():
        for _ in range(5):
            with pytest.raises(errors.BlobStoreUnavailable, match="mounted"):
                await trial.source.start("a", deliveries)
            assert [await state(trial, job_id) for job_id in ids] == [JobState.QUEUED] * 2
            deliveries = await trial.source.reclaim("a", count=2)
            assert sorted(ids_of(deliveries)) == sorted(ids)
    started = await trial.source.start("a", deliveries)
    assert [(one.attempt, one.payload) for one in started] == [(1, PAYLOAD)] * 2


async def test_a_file_that_cannot_be_read_stops_no_other_job(trial: OffloadedTrial) -> None:
    bad, good = await enqueued(trial, 2)
    file = trial.file_of(payload_of(bad))
    file.unlink()
    file.mkdir()
    deliveries = await trial.source.read("a", count=2)
    assert ids_of(await trial.source.start("a", deliveries)) == [good]
    for _ in range(2):
        assert not await trial.source.start("a", await trial.source.reclaim("a", count=1))
    job = await trial.desk.job(bad)
    assert job is not None
    assert job.problem is not None
    assert (job.state, job.problem.code) == (JobState.DEAD, "blob-store-unavailable")
    file.rmdir()


async def test_a_queue_that_is_away_just_then_costs_no_other_job_an_attempt(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, lost, last = await enqueued(trial, 3)
    trial.file_of(payload_of(lost)).unlink()

    async def fail(*_: object) -> bool:
        raise errors.QueueUnavailable

    deliveries = await trial.source.read("a", count=3)
    with monkeypatch.context() as patched:
        patched.setattr(trial.trial.source, "retry", fail)
        started = await trial.source.start("a", deliveries)
    assert [(one.delivery.job_id, one.attempt) for one in started] == [(first, 1), (last, 1)]
    for _ in range(2):
        await trial.later(LEASE + 1)
        await trial.source.renew("a", started)
        (again,) = await trial.source.reclaim("b", count=9)
        assert again.job_id == lost
        assert not await trial.source.start("b", [again])
    await trial.source.reclaim("b", count=9)
    assert await state(trial, lost) is JobState.DEAD


async def test_a_store_and_a_queue_that_are_away_together_begin_nothing(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueued(trial, 2)

    async def fail(*_: object, **__: object) -> None:
        raise errors.QueueUnavailable

    deliveries = await trial.source.read("a", count=2)
    with trial.away(), monkeypatch.context() as patched:
        patched.setattr(trial.trial.source, "hand_back", fail)
        assert not await trial.source.start("a", deliveries)
    await trial.later(LEASE + 1)
    again = await trial.source.start("b", await trial.source.reclaim("b", count=9))
    assert [one.attempt for one in again] == [2, 2]


async def test_a_worker_that_is_stopped_while_it_fetches_gives_its_jobs_back(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = await enqueued(trial)
    deliveries = await trial.source.read("a", count=1)
    fetches, hang, loop = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def get(name: BlobName) -> None:
        loop.call_soon_threadsafe(fetches.set)
        hang.wait(30)

    monkeypatch.setattr(trial.blobs, "get", get)
    starting = asyncio.create_task(trial.source.start("a", deliveries))
    await asyncio.wait_for(fetches.wait(), 10)
    assert await state(trial, job_id) is JobState.RUNNING
    starting.cancel()
    await asyncio.wait([starting], timeout=5.0)
    assert starting.cancelled()
    hang.set()
    monkeypatch.undo()
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert (again.attempt, again.payload) == (1, PAYLOAD)


async def test_a_picture_of_a_job_that_was_cancelled_meanwhile_is_not_missed(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job_id,) = await enqueued(trial)
    deliveries = await trial.source.read("a", count=1)
    fetch = trial.shelf.fetch

    async def cancel_first(frames: Any) -> Any:
        await trial.desk.cancel(job_id)
        return await fetch(frames)

    monkeypatch.setattr(trial.shelf, "fetch", cancel_first)
    assert not await trial.source.start("a", deliveries)
    assert await state(trial, job_id) is JobState.CANCELLED


# Ends


async def test_pictures_and_results_go_when_nobody_needs_them(trial: OffloadedTrial, files: Files) -> None:
    ids = await enqueued(trial, 4)
    done, failed, cancelled, _ = await begun(trial)
    assert len(files()) == 4
    await trial.desk.cancel(cancelled.delivery.job_id)
    assert not await finish(trial, cancelled)
    assert len(files()) == 3
    await trial.source.finish("worker", [Outcome(assignment=failed, answer=BROKEN)])
    assert len(files()) == 2
    await finish(trial, done)
    assert files() == [f"{ids[0]}.{done.token}.result", f"{ids[3]}.payload"]
    assert await trial.desk.result(ids[0]) == RESULT
    await trial.desk.acknowledge(ids[0])
    assert files() == [f"{ids[3]}.payload"]
    assert await trial.desk.result(ids[0]) is None


async def test_many_results_that_were_handed_out_go_together(trial: OffloadedTrial, files: Files) -> None:
    ids = await enqueued(trial, 3)
    for assignment in await begun(trial):
        await finish(trial, assignment)
    for job_id in ids[:2]:
        assert await trial.desk.result(job_id) == RESULT
    await trial.desk.forget(ids)
    assert len(files()) == 1  # nobody has asked for it here
    assert await trial.sweep() == 1


async def test_a_dead_jobs_picture_is_kept_until_its_owner_has_seen_it(
    trial: OffloadedTrial, files: Files
) -> None:
    (job_id,) = await enqueued(trial)
    await fail(trial, await trial.source.read("a", count=1))
    assert files() == [f"{job_id}.payload"]
    await trial.desk.requeue(job_id)
    await fail(trial, await trial.source.read("a", count=1))
    await trial.desk.acknowledge(job_id)
    assert files() == []


async def fail(trial: OffloadedTrial, deliveries: Sequence[Delivery]) -> None:
    """Uses up the attempts at a job."""
    for _ in range(3):
        (assignment,) = await trial.source.start("a", deliveries)
        assert assignment.payload == PAYLOAD
        assert await trial.source.retry("a", assignment, BROKEN)
        deliveries = await trial.source.reclaim("a", count=1)
    assert not deliveries


async def test_a_worker_that_was_fenced_off_touches_nothing(trial: OffloadedTrial, files: Files) -> None:
    late = await one_begun(trial, "a")
    (job_id,) = ids_of([late])
    await trial.later(LEASE + 1)
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert not await finish(trial, late, "a")
    assert files() == [f"{job_id}.payload"]  # of the job that runs
    answer = JobResult(data=b"second", media_type="text/plain")
    assert list(await trial.source.finish("b", [Outcome(assignment=again, answer=answer)])) == [True]
    for _ in range(2):
        assert not await finish(trial, late, "a")
        assert files() == [f"{job_id}.{again.token}.result"]
        assert await trial.desk.result(job_id) == answer


async def test_while_the_store_is_away_results_wait_and_problems_do_not(
    trial: OffloadedTrial, files: Files
) -> None:
    await enqueued(trial, 2)
    done, failed = await begun(trial)
    outcomes = [Outcome(assignment=done, answer=RESULT), Outcome(assignment=failed, answer=BROKEN)]
    with trial.away():
        for _ in range(2):
            with pytest.raises(errors.BlobStoreUnavailable):
                await trial.source.finish("worker", outcomes)
        assert await state(trial, failed.delivery.job_id) is JobState.FAILED
        assert await state(trial, done.delivery.job_id) is JobState.RUNNING
    assert list(await trial.source.finish("worker", outcomes)) == [True, True]
    with trial.away(), pytest.raises(errors.BlobStoreUnavailable):
        await trial.desk.result(done.delivery.job_id)
    assert await trial.desk.result(done.delivery.job_id) == RESULT
    assert len(files()) == 1


async def test_what_cannot_be_removed_is_left_to_the_sweep(trial: OffloadedTrial, files: Files) -> None:
    (job_id,) = await enqueued(trial)
    with trial.away():
        await trial.desk.cancel(job_id)
    assert files() == [f"{job_id}.payload"]
    assert await trial.sweep() == 1
    assert files() == []
