"""The use case of jobs: what is taken in, who may see it, and what stands for a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core import errors
from heliograph.core.jobs import JobProblem, JobResult, JobState, Outcome
from heliograph.core.models import Task
from heliograph.core.predictions import CutoutOptions
from heliograph.core.queue import QueueRules
from heliograph.serving.access import Caller
from heliograph.serving.answers import Wanted, unpack_job
from heliograph.serving.jobs import Jobs, Receipt, Submission, _fingerprint, phases_of
from heliograph.serving.predict import NamedPicture
from heliograph.serving.threads import WorkerThreads
from queue_trials import MemoryTrial, begun, dead_job
from unit.serving.parts import NumberImaging

ME, YOU = Caller("me", sees_all=False), Caller("you", sees_all=False)
ROOT = Caller("root", sees_all=True)
ID = re.compile(r"[0-9a-z-]{20,64}")
TWO = (NamedPicture(name="a", data=b"1 10"), NamedPicture(name="b", data=b"2 10"))
ASKED = Submission(model="stub", task=Task.CLASSIFICATION, wanted=Wanted(top=2), pictures=TWO)


@dataclass
class Bench:
    """Jobs over a queue in memory."""

    jobs: Jobs
    trial: MemoryTrial

    async def one(self, caller: Caller = ME) -> str:
        """The id of a new job."""
        receipt = await self.jobs.submit(replace(ASKED, pictures=TWO[:1]), caller)
        return receipt.jobs[0].id

    async def answer(self, answer: JobResult | JobProblem) -> None:
        """Answers the only job that waits."""
        (assignment,) = await begun(self.trial)
        assert await self.trial.source.finish("worker", [Outcome(assignment=assignment, answer=answer)]) == [
            True
        ]


LABELS = JobResult(data=b"[]", media_type="application/json", facts='{"timings_ms": {"infer": 2.5}}')


def play(scenario: Callable[[Bench], Coroutine[Any, Any, None]], **rules: Any) -> None:
    async def run() -> None:
        trial = MemoryTrial(QueueRules(**rules))
        with WorkerThreads(1, name="look") as threads:
            await scenario(Bench(Jobs(trial.desk, NumberImaging(), threads, durable=False), trial))

    asyncio.run(run())


def test_what_looks_like_a_picture_is_taken_in_and_the_rest_is_told() -> None:
    async def scenario(bench: Bench) -> None:
        pictures = (TWO[0], NamedPicture(name="c", data=b"junk"), TWO[1], TWO[1])
        receipt = await bench.jobs.submit(replace(ASKED, pictures=pictures), ME)
        assert [job.name for job in receipt.jobs] == ["a", "b", "b"]
        assert {job.state for job in receipt.jobs} == {JobState.QUEUED}
        assert [(each.name, each.problem.code) for each in receipt.refused] == [
            ("c", "picture-format-unknown")
        ]
        ids = [receipt.group, *(job.id for job in receipt.jobs)]
        assert len(set(ids)) == 4
        assert all(ID.fullmatch(each) for each in ids)
        taken = await begun(bench.trial)
        assert [unpack_job(each.payload, each.parameters) for each in taken] == [
            (b"1 10", Wanted(top=2)),
            (b"2 10", Wanted(top=2)),
            (b"2 10", Wanted(top=2)),
        ]

    play(scenario)


def test_where_all_are_refused_the_first_says_why_and_nothing_is_stored() -> None:
    async def scenario(bench: Bench) -> None:
        junk = NamedPicture(name="a", data=b"junk")
        with pytest.raises(errors.PictureFormatUnknown):
            await bench.jobs.submit(replace(ASKED, pictures=[junk]), ME)
        with pytest.raises(errors.PictureFormatUnknown, match="None of the 3"):
            await bench.jobs.submit(replace(ASKED, pictures=[junk] * 3), ME)
        assert (await bench.trial.desk.counts()).accepted == 0

    play(scenario)


def test_a_broken_background_refuses_the_request() -> None:
    async def scenario(bench: Bench) -> None:
        def asked(background: bytes) -> Submission:
            wanted = Wanted(cutout=CutoutOptions(background=background))
            return replace(ASKED, task=Task.BACKGROUND_REMOVAL, wanted=wanted)

        with pytest.raises(errors.PictureFormatUnknown, match="background"):
            await bench.jobs.submit(asked(b"junk"), ME)
        await bench.jobs.submit(asked(b"3 10"), ME)
        taken = await begun(bench.trial)
        for assignment, picture in zip(taken, TWO, strict=True):
            data, wanted = unpack_job(assignment.payload, assignment.parameters)
            assert (data, wanted.cutout.background) == (picture.data, b"3 10")

    play(scenario)


def test_a_key_stands_for_its_request() -> None:
    async def scenario(bench: Bench) -> None:
        asked = replace(ASKED, idempotency_key="k")
        first = await bench.jobs.submit(asked, ME)
        assert first.is_new
        await begun(bench.trial)
        again = await bench.jobs.submit(asked, ME)
        assert again == Receipt(
            group=first.group,
            jobs=[replace(job, state=JobState.RUNNING) for job in first.jobs],
            refused=(),
            is_new=False,
        )
        for other in (
            replace(asked, pictures=TWO[::-1]),
            replace(asked, wanted=Wanted(top=3)),
            replace(asked, model="other"),
        ):
            with pytest.raises(errors.IdempotencyConflict):
                await bench.jobs.submit(other, ME)
        assert (await bench.jobs.submit(asked, YOU)).group != first.group
        assert (await bench.jobs.submit(replace(asked, idempotency_key=""), ME)).group != first.group

    play(scenario)


PICTURES = st.lists(st.builds(NamedPicture, name=st.text(max_size=3), data=st.binary(max_size=3)), max_size=3)
SUBMISSIONS = st.builds(
    Submission,
    model=st.sampled_from(["a", "ab"]),
    task=st.just(Task.BACKGROUND_REMOVAL),
    wanted=st.builds(
        Wanted,
        cutout=st.builds(
            CutoutOptions, background=st.none() | st.binary(min_size=1, max_size=2) | st.just((1, 2, 3))
        ),
    ),
    pictures=PICTURES,
)


@settings(max_examples=300, deadline=None)
@given(one=SUBMISSIONS, other=SUBMISSIONS)
def test_fingerprints_are_equal_for_equal_requests_only(one: Submission, other: Submission) -> None:
    assert (_fingerprint(one) == _fingerprint(other)) == (one == other)


def test_results_and_their_absence() -> None:
    async def scenario(bench: Bench) -> None:
        jobs = bench.jobs
        job_id = await bench.one()
        assert not (await jobs.answered(job_id, ME)).state.is_final
        await bench.answer(LABELS)
        job = await jobs.answered(job_id, ME)
        assert await jobs.result(job) == LABELS
        assert phases_of(job) == {"infer": 2.5}
        assert (await jobs.withdraw(job_id, ME)).is_expired
        with pytest.raises(errors.ResultExpired):
            await jobs.answered(job_id, ME)
        with pytest.raises(errors.ResultExpired):  # its time came between the two looks
            await jobs.result(job)

        failed = await bench.one()
        await bench.answer(JobProblem(code="picture-broken", message="It ends early."))
        with pytest.raises(errors.PictureBroken, match="It ends early"):
            await jobs.answered(failed, ME)

        cancelled = await bench.one()
        assert (await jobs.withdraw(cancelled, ME)).state is JobState.CANCELLED
        with pytest.raises(errors.JobCancelled):
            await jobs.answered(cancelled, ME)
        await bench.trial.later(4000)
        await bench.trial.desk.expire()
        with pytest.raises(errors.ResultExpired):
            await jobs.answered(failed, ME)

    play(scenario)


def test_only_the_dead_are_requeued() -> None:
    async def scenario(bench: Bench) -> None:
        waiting = await bench.one()
        with pytest.raises(errors.JobNotDead):
            await bench.jobs.requeue(waiting, ME)
        await bench.jobs.withdraw(waiting, ME)
        dead = await dead_job(bench.trial, owner="me")
        with pytest.raises(errors.EngineFailed):
            await bench.jobs.answered(dead, ME)
        assert (await bench.jobs.requeue(dead, ME)).state is JobState.QUEUED
        with pytest.raises(errors.JobNotDead):
            await bench.jobs.requeue(dead, ME)

    play(scenario)


def test_what_belongs_to_others_does_not_exist() -> None:
    async def scenario(bench: Bench) -> None:
        jobs = bench.jobs
        mine = await jobs.submit(ASKED, ME)
        yours = await jobs.submit(ASKED, YOU)
        theirs = yours.jobs[0].id
        for method in (jobs.job, jobs.answered, jobs.withdraw, jobs.requeue):
            with pytest.raises(errors.JobUnknown):
                await method(theirs, ME)
        with pytest.raises(errors.JobUnknown):
            await jobs.group(yours.group, ME)
        assert (await jobs.job(theirs, YOU)).state is JobState.QUEUED
        assert {job.id for job in (await jobs.page(ME)).jobs} == {job.id for job in mine.jobs}
        assert len((await jobs.page(ROOT)).jobs) == 4
        assert (await jobs.group(yours.group, ROOT))[0].owner == "you"
        assert (await jobs.withdraw(theirs, ROOT)).state is JobState.CANCELLED

    play(scenario)


@pytest.mark.parametrize("hostile", ["", "*", "a b", "A", "a" * 65, "..", "ä", "a\n", "a:b", "{a}"])
def test_what_cannot_be_an_id_is_unknown(hostile: str) -> None:
    async def scenario(bench: Bench) -> None:
        for method in (bench.jobs.job, bench.jobs.answered, bench.jobs.withdraw, bench.jobs.group):
            with pytest.raises(errors.JobUnknown):
                await method(hostile, ROOT)

    play(scenario)


def test_a_group_is_read_in_pages() -> None:
    async def scenario(bench: Bench) -> None:
        receipt = await bench.jobs.submit(replace(ASKED, pictures=TWO * 3), ME)
        ids = [job.id for job in receipt.jobs]
        group, page = await bench.jobs.group(receipt.group, ME, offset=4, limit=10)
        assert (list(group.job_ids), [job.id for job in page]) == (ids, ids[4:])

    play(scenario)


def test_a_full_queue_takes_nothing() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(errors.QueueFull):
            await bench.jobs.submit(replace(ASKED, pictures=TWO * 3), ME)
        assert (await bench.trial.desk.counts()).accepted == 0

    play(scenario, max_jobs=5)
