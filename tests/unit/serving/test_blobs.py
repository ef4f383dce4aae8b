"""Frames that stand for bytes in a blob store, and the sweep that clears up in it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from blob_trials import OffloadedTrial, blob_files
from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName
from heliograph.core.jobs import Assignment, JobProblem, JobResult, Outcome
from heliograph.core.queue import QueueRules
from heliograph.serving import blobs as serving_blobs
from heliograph.serving.blobs import BlobSweep, Shelf
from heliograph.serving.offloading import OffloadingDesk, OffloadingSource, payload_of, result_of
from heliograph.serving.threads import WorkerThreads
from queue_trials import PAYLOAD, MemoryTrial, begun, enqueued, finish, one_begun

pytestmark = pytest.mark.anyio
FAILED = JobProblem(code="engine-failed", message="The engine failed.")
HOUR = 3600.0


@pytest.fixture
async def trial(tmp_path: Path) -> AsyncIterator[OffloadedTrial]:
    offloaded = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path)
    yield offloaded
    await offloaded.close()


# Frames


@pytest.mark.parametrize("first", [b"\x00", b"\x01", b"\x01../../secret", b"\x02", b""])
async def test_no_picture_poses_as_a_frame(tmp_path: Path, first: bytes) -> None:
    name = BlobName(job_id="job-1", kind=BlobKind.PAYLOAD)
    with WorkerThreads(1, name="blobs") as threads:
        blobs = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path).blobs
        for shelf in (Shelf(blobs, threads), Shelf(blobs, threads, min_bytes=1000), Shelf(None, threads)):
            await shelf.keep([(name, first)] if shelf.keeps(first) else [])
            frame = shelf.frame(name, first)
            assert len(frame.data) + frame.kept_elsewhere == len(first)
            assert list(await shelf.fetch([(name, frame.data)])) == [first]
            await shelf.drop([name])


async def test_only_what_is_large_goes_elsewhere(tmp_path: Path) -> None:
    trial = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path, min_bytes=100)
    for size, count in ((99, 0), (100, 1)):
        payload = bytes(size)
        assignment = await one_begun(trial, payload=payload)
        assert assignment.payload == payload
        assert len(blob_files(tmp_path)) == count
        assert (await trial.desk.counts()).stored_bytes == size
        answer = JobResult(data=payload, media_type="image/png")
        assert await trial.source.finish("worker", [Outcome(assignment=assignment, answer=answer)]) == [True]
        assert len(blob_files(tmp_path)) == count
        assert await trial.desk.result(assignment.delivery.job_id) == answer
        await trial.desk.acknowledge(assignment.delivery.job_id)
        assert blob_files(tmp_path) == []
    await trial.close()


async def test_a_process_without_a_folder_says_so_and_harms_nothing(trial: OffloadedTrial) -> None:
    assignment = await one_begun(trial)
    await finish(trial, assignment)
    await enqueued(trial)
    with WorkerThreads(1, name="blobs") as threads:
        shelf = Shelf(None, threads)
        desk, source = OffloadingDesk(trial.trial.desk, shelf), OffloadingSource(trial.trial.source, shelf)
        with pytest.raises(errors.BlobStoreUnavailable, match="this has none"):
            await desk.result(assignment.delivery.job_id)
        with pytest.raises(errors.BlobStoreUnavailable, match="this has none"):
            await source.start("lacking", await source.read("lacking", count=1))
    (again,) = await trial.source.start("worker", await trial.source.reclaim("worker", count=1))
    assert (again.attempt, again.payload) == (1, PAYLOAD)


# A store that hangs


async def test_a_store_that_hangs_is_not_waited_for(
    trial: OffloadedTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = await one_begun(trial)
    await enqueued(trial)
    hang = threading.Event()
    for name in ("READ_SECONDS", "WRITE_SECONDS"):
        monkeypatch.setattr(serving_blobs, name, 0.05)
    for name in ("put", "get", "remove", "check", "page"):
        monkeypatch.setattr(trial.blobs, name, lambda *_, **__: hang.wait(30))
    job_id = assignment.delivery.job_id
    with pytest.raises(errors.BlobStoreUnavailable, match="in time"):
        await enqueued(trial)
    with pytest.raises(errors.BlobStoreUnavailable, match="in time"):
        await trial.source.start("late", await trial.source.read("late", count=1))
    with pytest.raises(errors.BlobStoreUnavailable, match="in time"):
        await finish(trial, assignment)
    with pytest.raises(errors.BlobStoreUnavailable, match="in time"):
        await trial.sweep()
    assert not await trial.shelf.is_usable()
    hang.set()
    monkeypatch.undo()
    assert await finish(trial, assignment)
    assert await trial.desk.result(job_id) is not None
    (again,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert (again.attempt, again.payload) == (1, PAYLOAD)


# The sweep


async def begun_of(trial: OffloadedTrial, count: int) -> Sequence[Assignment]:
    await enqueued(trial, count)
    return await begun(trial)


async def dead_job(trial: OffloadedTrial) -> str:
    """The id of a job whose attempts are used up; nothing else may wait."""
    (assignment,) = await begun_of(trial, 1)
    await trial.source.retry("worker", assignment, FAILED)
    while taken := await trial.source.reclaim("worker", count=1):
        (assignment,) = await trial.source.start("worker", taken)
        await trial.source.retry("worker", assignment, FAILED)
    return assignment.delivery.job_id


async def test_what_a_job_needs_is_not_swept(trial: OffloadedTrial, tmp_path: Path) -> None:
    dead = await dead_job(trial)
    done, running = await begun_of(trial, 2)
    await finish(trial, done)
    await enqueued(trial)
    before = blob_files(tmp_path)
    assert len(before) == 4
    assert await trial.sweep() == 0
    assert blob_files(tmp_path) == before
    await trial.desk.requeue(dead)
    assert [one.payload for one in await begun(trial)] == [PAYLOAD] * 2
    assert await finish(trial, running)


async def test_what_nobody_needs_is_swept(trial: OffloadedTrial, tmp_path: Path) -> None:
    ids = await enqueued(trial, 4)
    done, failed, *_ = await begun(trial, count=3)
    await trial.source.finish("worker", [Outcome(assignment=failed, answer=FAILED)])
    await finish(trial, done)
    await trial.desk.cancel(ids[3])
    needed = blob_files(tmp_path)
    assert len(needed) == 2
    left = [payload_of("unknown"), result_of("unknown", "a1"), result_of(ids[2], "b2")]
    for job_id in (ids[0], ids[1], ids[3]):
        left += [payload_of(job_id), result_of(job_id, "a1")]
    for name in left:
        trial.blobs.put(name, b"left")
    # What another attempt at a job that still runs has answered may be its result in the end.
    assert await trial.sweep() == len(left) - 1
    assert blob_files(tmp_path) == sorted([*needed, f"{ids[2]}.b2.result"])


async def test_what_expired_is_swept(trial: OffloadedTrial, tmp_path: Path) -> None:
    await dead_job(trial)
    (done,) = await begun_of(trial, 1)
    await finish(trial, done)
    await trial.later(2 * HOUR)
    assert await trial.desk.expire() == 2
    assert len(blob_files(tmp_path)) == 2
    assert await trial.sweep() == 2
    assert blob_files(tmp_path) == []


async def test_what_is_young_is_not_doubted(trial: OffloadedTrial, tmp_path: Path) -> None:
    trial.blobs.put(payload_of("unknown"), b"left")
    trial.blobs.put(result_of("unknown", "a1"), b"left")
    for payload_seconds, result_seconds, left in ((HOUR, HOUR, 2), (-1.0, HOUR, 1), (HOUR, -1.0, 0)):
        sweep = BlobSweep(
            trial.trial.desk,
            trial.shelf,
            payload_seconds=payload_seconds,
            result_seconds=result_seconds,
        )
        await sweep.sweep()
        assert len(blob_files(tmp_path)) == left


async def test_one_call_looks_at_so_many_and_the_next_goes_on(trial: OffloadedTrial, tmp_path: Path) -> None:
    for number in range(200):
        trial.blobs.put(payload_of(f"unknown-{number}"), b"left")
    sweep = BlobSweep(trial.trial.desk, trial.shelf, payload_seconds=-1.0)
    removed: list[int] = []
    while not removed or sweep.is_under_way:
        removed.append(await sweep.sweep(limit=20))
    assert sum(removed) == 200
    assert 5 <= len(removed) <= 10
    assert blob_files(tmp_path) == []
