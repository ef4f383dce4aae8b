"""Processes that are killed between any two steps: jobs keep their payloads and results, and nothing is left over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

from blob_trials import OffloadedTrial, blob_files
from heliograph.core.jobs import JobProblem, JobResult, JobState, NewGroup, Outcome
from heliograph.core.queue import QueueRules
from heliograph.serving.blobs import Shelf
from heliograph.serving.offloading import OffloadingDesk, OffloadingSource
from heliograph.serving.threads import WorkerThreads
from queue_trials import PAYLOAD, MemoryTrial, end, new_group

pytestmark = pytest.mark.anyio
MOST_STEPS = 60
BROKEN = JobProblem(code="picture-broken", message="The picture cannot be decoded.")


class Killed(BaseException):
    """The process is no more."""


class Life:
    """The steps that a process has left. It dies before or after the last one, and does nothing more then."""

    def __init__(self, steps: int, *, dies_after: bool) -> None:
        self.steps = steps
        self.dies_after = dies_after
        self.is_over = False

    def of(self, part: Any) -> Any:
        """What does a step with each call."""
        return Mortal(self, part)

    def begin_step(self) -> None:
        self.steps -= 1
        if self.steps < 0 or (self.steps == 0 and not self.dies_after):
            self.is_over = True
            raise Killed

    def end_step(self) -> None:
        if self.steps <= 0:
            self.is_over = True
            raise Killed


class Mortal:
    """Another object whose methods are steps of a life."""

    def __init__(self, life: Life, part: Any) -> None:
        self._life = life
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._part, name)
        return partial(self._wait if iscoroutinefunction(method) else self._do, method)

    def _do(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._life.begin_step()
        answer = method(*args, **options)
        self._life.end_step()
        return answer

    async def _wait(self, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._life.begin_step()
        answer = await method(*args, **options)
        self._life.end_step()
        return answer


class Process:
    """A gateway or a worker over a trial's queue and store, alive as long as its life is."""

    def __init__(self, trial: OffloadedTrial, life: Life, threads: WorkerThreads, name: str) -> None:
        shelf = Shelf(life.of(trial.blobs), threads)
        self.desk = OffloadingDesk(life.of(trial.trial.desk), shelf)
        self.source = OffloadingSource(life.of(trial.trial.source), shelf)
        self.name = name

    async def answer(self, data: bytes) -> None:
        """Does what there is to do, until there is no more."""
        while deliveries := [
            *await self.source.reclaim(self.name, count=1),
            *await self.source.read(self.name, count=1),
        ]:
            begun = await self.source.start(self.name, deliveries)
            assert all(one.payload == PAYLOAD for one in begun)
            answers: dict[str, JobResult | JobProblem] = {
                one.name: JobResult(data=data, media_type="text/plain") for one in begun
            }
            answers["1.png"] = BROKEN
            await self.source.finish(
                self.name, [Outcome(assignment=one, answer=answers[one.name]) for one in begun]
            )


async def live(gateway: Process, worker: Process, group: NewGroup) -> None:
    """Takes in four jobs, cancels one, hands out a result and lets it be acknowledged."""
    first, _, third, _ = (job.id for job in group.jobs)
    await gateway.desk.enqueue(group)
    await gateway.desk.cancel(third)
    await worker.answer(b"answer")
    seen = await gateway.desk.result(first)
    assert seen is not None
    assert seen.data == b"answer"
    await gateway.desk.acknowledge(first)


@pytest.mark.parametrize("dies_after", [False, True])
async def test_a_gateway_that_is_killed(tmp_path: Path, dies_after: bool) -> None:
    for steps in range(1, MOST_STEPS):
        trial = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path)
        group = new_group(4)
        with WorkerThreads(1, name="mortal") as threads:
            life = Life(steps, dies_after=dies_after)
            gateway = Process(trial, life, threads, "")
            worker = Process(trial, Life(10**6, dies_after=True), threads, "worker")
            with suppress(Killed):
                await live(gateway, worker, group)
            await worker.answer(b"answer")
        if await trial.desk.group(group.id) is None:
            await trial.sweep()
            assert blob_files(tmp_path) == []
        else:
            for place, job in enumerate(group.jobs):
                await check_end(trial, job.id, b"answer", is_broken=place == 1)
        await end(trial)
        await trial.close()
        if not life.is_over:
            assert steps > 8
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("dies_after", [False, True])
async def test_workers_that_are_killed(tmp_path: Path, dies_after: bool) -> None:
    """Each is killed one step later; another does the rest."""
    for steps in range(1, MOST_STEPS):
        trial = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path)
        group = new_group(3)
        await trial.desk.enqueue(group)
        with WorkerThreads(1, name="mortal") as threads:
            life = Life(steps, dies_after=dies_after)
            try:
                await Process(trial, life, threads, "mortal").answer(b"first")
            except Killed:
                await trial.later(11.0)
            results = [await trial.desk.result(job.id) for job in group.jobs]
            heir = Process(trial, Life(10**6, dies_after=True), threads, "heir")
            await heir.answer(b"second")
        for place, job in enumerate(group.jobs):
            before = results[place]
            await check_end(trial, job.id, before.data if before else b"second", is_broken=place == 1)
        await end(trial)
        await trial.close()
        if not life.is_over:
            assert steps > 8
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("dies_after", [False, True])
async def test_a_worker_that_was_fenced_off_and_is_killed(tmp_path: Path, dies_after: bool) -> None:
    for steps in range(1, MOST_STEPS):
        trial = OffloadedTrial(MemoryTrial(QueueRules()), tmp_path)
        (job_id,) = (await trial.desk.enqueue(new_group())).job_ids
        with WorkerThreads(1, name="mortal") as threads:
            life = Life(steps, dies_after=dies_after)
            late = await trial.source.start("late", await trial.source.read("late", count=1))
            await trial.later(11.0)
            await Process(trial, Life(10**6, dies_after=True), threads, "heir").answer(b"right")
            asleep = Process(trial, life, threads, "late")
            answer = JobResult(data=b"late", media_type="text/plain")
            with suppress(Killed):
                await asleep.source.finish("late", [Outcome(assignment=late[0], answer=answer)])
            await check_end(trial, job_id, b"right", is_broken=False)
        await end(trial)
        await trial.close()
        if not life.is_over:
            return
    raise AssertionError("it never came to its end")


async def check_end(trial: OffloadedTrial, job_id: str, data: bytes, *, is_broken: bool) -> None:
    """A job's end is the right one, and the store holds what belongs to it and, once swept, nothing else."""
    await trial.sweep()
    job = await trial.desk.job(job_id)
    assert job is not None
    result = await trial.desk.result(job_id)
    if is_broken and job.state is not JobState.CANCELLED:
        assert job.state is JobState.FAILED
    if job.state is JobState.DONE and not job.is_expired:
        assert result is not None
        assert result.data == data
    else:
        assert job.state in (JobState.FAILED, JobState.CANCELLED) or job.is_expired
        assert result is None
    mine = [name for name in blob_files(trial.folder) if name.startswith(f"{job_id}.")]
    assert len(mine) == (result is not None)
