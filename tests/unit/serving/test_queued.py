"""A synchronous request over a queue in memory, in fake time: it ends in time, rightly, and leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import looptime
import pytest

from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.adapters.queue.memory_source import MemorySource
from heliograph.core import errors
from heliograph.core.jobs import Assignment, FinishedJob, JobProblem, JobResult, JobState, Outcome
from heliograph.core.models import Task
from heliograph.core.predictions import Label, LabelledPicture, Timings
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.answers import pack_result
from heliograph.serving.model_table import ServedModel
from heliograph.serving.predict import NamedPicture
from heliograph.serving.queued import QueuePredictor
from heliograph.serving.remote_models import RemoteModels
from heliograph.serving.replies import Replies
from heliograph.serving.threads import WorkerThreads
from unit.serving.parts import NumberImaging, model_spec

SEVEN = NamedPicture(name="seven", data=b"7")
ANSWER = LabelledPicture(labels=(Label("one", 1.0),), timings=Timings())
RESULT = pack_result(ANSWER, model_spec(), worker="w1")


class Deaf(MemoryDesk):
    """A desk whose replies are lost."""

    async def finished(self, gateway: str, *, wait_seconds: float) -> list[FinishedJob]:
        await asyncio.sleep(wait_seconds)
        return []


class Queue:
    """A gateway's side and a worker's side."""

    def __init__(self, desk: type[MemoryDesk], threads: WorkerThreads) -> None:
        loop = asyncio.get_running_loop()
        self.queue = MemoryQueue(QueueRules(lease_seconds=2), loop.time)
        self.desk = desk(self.queue)
        self.source = MemorySource(self.queue)
        self.models = RemoteModels([ServedModel("stub", model_spec())], {Task.CLASSIFICATION: "stub"})
        self.replies = Replies(self.desk, "gateway")
        self.predictor = QueuePredictor(
            self.models,
            desk=self.desk,
            replies=self.replies,
            imaging=NumberImaging(),
            threads=threads,
            timeout_seconds=30,
            clock=loop.time,
        )

    async def ask(self, picture: NamedPicture = SEVEN) -> LabelledPicture:
        model = self.predictor.choose(None, Task.CLASSIFICATION)
        deadline = self.predictor.deadline()
        return await self.predictor.classify(model, picture, top=1, deadline=deadline)

    async def take(self, worker: str = "w1") -> Assignment:
        deliveries = await self.source.read(worker, count=1, wait_seconds=5)
        (assignment,) = await self.source.start(worker, deliveries)
        return assignment

    async def finish(self, assignment: Assignment, answer: JobResult | JobProblem = RESULT) -> None:
        assert await self.source.finish("w1", [Outcome(assignment=assignment, answer=answer)]) == [True]

    def states(self) -> set[JobState]:
        return {job.state for job in self.queue.jobs.values()}


@asynccontextmanager
async def queue(desk: type[MemoryDesk] = MemoryDesk) -> AsyncIterator[Queue]:
    with WorkerThreads(1, name="look") as threads:
        made = Queue(desk, threads)
        listening = asyncio.ensure_future(made.replies.listen())
        yield made
        await made.predictor.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert not made.replies._expected


def in_fake_time(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(whole())


@pytest.mark.parametrize("desk", [MemoryDesk, Deaf])
def test_the_answer_comes_though_its_reply_is_lost(desk: type[MemoryDesk]) -> None:
    async def main() -> None:
        async with queue(desk) as made:
            asking = asyncio.ensure_future(made.ask())
            await made.finish(await made.take())
            answer = await asking
            assert (answer.labels, answer.timings.worker) == (ANSWER.labels, "w1")
            await made.predictor.close()
            assert made.queue.stored_bytes == 0

    in_fake_time(main)


def test_a_problem_is_raised_as_the_error_that_it_was() -> None:
    async def main() -> None:
        async with queue() as made:
            asking = asyncio.ensure_future(made.ask())
            problem = JobProblem(code="picture-broken", message="It ends too early.")
            await made.finish(await made.take(), problem)
            with pytest.raises(errors.PictureBroken, match="ends too early"):
                await asking

    in_fake_time(main)


def test_a_request_that_waits_hears_that_no_worker_has_its_model() -> None:
    """It came before the first worker; those that came since have looked for the model in vain."""

    async def main() -> None:
        async with queue() as made:
            asking = asyncio.ensure_future(made.ask())
            await asyncio.sleep(5)
            lacking = WorkerInfo(
                name="w1",
                state=WorkerState.READY,
                host="h",
                pid=1,
                models={"stub": "unavailable"},
                problems={"stub": "Its weights are not here."},
            )
            made.models.observe([lacking])
            with pytest.raises(errors.ModelUnavailable, match="weights are not here"):
                await asking
            assert asyncio.get_running_loop().time() < 10
            await made.predictor.close()
            assert made.states() == {JobState.CANCELLED}

    in_fake_time(main)


def test_a_picture_that_is_none_never_reaches_the_queue() -> None:
    async def main() -> None:
        async with queue() as made:
            with pytest.raises(errors.PictureFormatUnknown):
                await made.ask(NamedPicture(name="text", data=b"text"))
            assert not made.queue.jobs

    in_fake_time(main)


def test_without_a_worker_it_is_overload_and_with_a_slow_one_it_is_late() -> None:
    async def main() -> None:
        async with queue() as made:
            with pytest.raises(errors.Overloaded):
                await made.ask()
            asking = asyncio.ensure_future(made.ask())
            await made.take()
            with pytest.raises(errors.DeadlineExceeded):
                await asking
            assert asyncio.get_running_loop().time() < 61
            assert made.states() == {JobState.CANCELLED}

    in_fake_time(main)


def test_a_client_that_goes_away_cancels_its_job() -> None:
    async def main() -> None:
        async with queue() as made:
            asking = asyncio.ensure_future(made.ask())
            await made.take()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await made.predictor.close()
            assert made.states() == {JobState.CANCELLED}

    in_fake_time(main)


def test_another_worker_answers_when_the_first_is_lost() -> None:
    async def main() -> None:
        async with queue() as made:
            asking = asyncio.ensure_future(made.ask())
            await made.take("w0")
            await asyncio.sleep(3)
            deliveries = await made.source.reclaim("w1", count=1)
            (again,) = await made.source.start("w1", deliveries)
            await made.finish(again)
            assert (await asking).labels == ANSWER.labels

    in_fake_time(main)
