"""The synchronous use case over a queue: a request is an interactive job whose gateway waits for the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from heliograph.core import errors
from heliograph.core.jobs import Job, JobResult, JobState, NewGroup, NewJob, Priority, new_id
from heliograph.core.ports import Clock, Imaging
from heliograph.core.predictions import CutoutOptions, EncodedPicture, LabelledPicture
from heliograph.core.queue import JobDesk
from heliograph.serving.answers import Wanted, pack_job, unpack_result
from heliograph.serving.model_table import ModelTable, ServedModel
from heliograph.serving.predict import NamedPicture, Predictor
from heliograph.serving.replies import Expectation, Replies
from heliograph.serving.threads import WorkerThreads

log = logging.getLogger(__name__)

SMALL_BYTES = 65_536
LOOK_SECONDS = 1.0
"""How often a waiting request looks at its job itself, should its reply have been lost."""
TIDY_SECONDS = 0.25
TIDY_TASKS = 256
NO_WORKER = "No worker had time for the picture."


class QueuePredictor(Predictor):
    """Answers with the workers of a queue. If one of them dies, another answers.

    Args:
        models: what the workers serve.
        desk: the queue.
        replies: hears of answers; somebody must run its `Replies.listen`.
        imaging: looks at pictures before they are sent.
        threads: for looking.
        timeout_seconds: from a request's beginning to its answer.
        clock: monotonic.
    """

    def __init__(
        self,
        models: ModelTable,
        *,
        desk: JobDesk,
        replies: Replies,
        imaging: Imaging,
        threads: WorkerThreads,
        timeout_seconds: float,
        clock: Clock,
    ) -> None:
        super().__init__(models, timeout_seconds=timeout_seconds, clock=clock)
        self._desk = desk
        self._replies = replies
        self._imaging = imaging
        self._threads = threads
        self._answered: list[str] = []
        self._tidying: set[asyncio.Task[object]] = set()

    async def wait_for(self, model: ServedModel, *, deadline: float) -> None:
        """Returns at once, unless the workers all lack the model: what comes too early for them waits in the queue."""
        model.check_available()

    async def classify(
        self, model: ServedModel, picture: NamedPicture, *, top: int, deadline: float
    ) -> LabelledPicture:
        """The labels of one picture."""
        result = await self._ask(model, picture, Wanted(top=top), deadline)
        answer = unpack_result(result)
        if not isinstance(answer, LabelledPicture):
            raise errors.HeliographError("A worker answered with a picture where labels were asked for.")
        return answer

    async def cut_out(
        self, model: ServedModel, picture: NamedPicture, options: CutoutOptions, *, deadline: float
    ) -> EncodedPicture:
        """One picture without its background."""
        result = await self._ask(model, picture, Wanted(cutout=options), deadline)
        answer = unpack_result(result)
        if not isinstance(answer, EncodedPicture):
            raise errors.HeliographError("A worker answered with labels where a picture was asked for.")
        return answer

    async def close(self) -> None:
        """Waits for what is being cleared away."""
        await asyncio.gather(*self._tidying, return_exceptions=True)

    async def _ask(
        self, model: ServedModel, picture: NamedPicture, wanted: Wanted, deadline: float
    ) -> JobResult:
        model.check_available()
        payload, parameters = pack_job(model.spec.task, picture.data, wanted)
        job = NewJob(
            id=new_id(), name=picture.name, model=model.reference, payload=payload, parameters=parameters
        )
        group = NewGroup(
            id=new_id(), owner="", jobs=(job,), priority=Priority.INTERACTIVE, reply_to=self._replies.gateway
        )
        with self._replies.expect(job.id) as expected:
            try:
                async with asyncio.timeout(self.seconds_until(deadline)):
                    await self._look(picture.data, wanted)
                    await self._desk.enqueue(group)
                    result = await self._answer(model, job.id, expected)
            except TimeoutError:
                raise await self._give_up(job.id) from None
            except (asyncio.CancelledError, errors.CapacityError):
                self._tidy(self._desk.cancel(job.id))
                raise
            except errors.HeliographError:
                self._forget(job.id)
                raise
        self._forget(job.id)
        return result

    async def _look(self, picture: bytes, wanted: Wanted) -> None:
        if len(picture) > SMALL_BYTES:
            await self._threads.run(lambda: self._inspect(picture, wanted))
        else:
            self._inspect(picture, wanted)  # takes less time than a way to a thread and back

    def _inspect(self, picture: bytes, wanted: Wanted) -> None:
        """Refuses what a worker would refuse by its header, before it costs the queue anything."""
        self._imaging.inspect(picture)
        if isinstance(wanted.cutout.background, bytes):
            self._imaging.inspect(wanted.cutout.background)

    async def _answer(self, model: ServedModel, job_id: str, expected: Expectation) -> JobResult:
        """The result, however long it takes and whatever happens to the queue's server.

        Raises:
            ModelUnavailable, ModelInvalid: the workers that have come meanwhile all lack the model.
            HeliographError: why there will be no result.
        """
        looks_at_done = 0
        while True:
            await expected.wait(LOOK_SECONDS)
            if expected.result is not None:
                return expected.result
            problem: errors.HeliographError | None = None
            with suppress(errors.CapacityError):
                result = await self._desk.result(job_id)
                if result is not None:
                    return result
                job = await self._desk.job(job_id)
                looks_at_done += job is not None and job.state is JobState.DONE
                problem = _problem_of(job, is_result_gone=looks_at_done > 1)
            if problem is not None:
                raise problem
            try:
                model.check_available()
            except errors.HeliographError:
                self._tidy(self._desk.cancel(job_id))
                raise
            if expected.is_over:  # the server failed just now, or has not got so far
                await asyncio.sleep(LOOK_SECONDS / 10)

    async def _give_up(self, job_id: str) -> errors.HeliographError:
        """What to say when time is up: too slow if a worker was at it, else there was too much before it."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                job = await self._desk.cancel(job_id)
        except (TimeoutError, errors.CapacityError):
            return errors.QueueUnavailable("The queue's server did not answer in time.")
        if job is not None and job.state is not JobState.CANCELLED:  # it became final just now
            self._forget(job_id)
        if job is None or job.started_at is None:
            return errors.Overloaded(NO_WORKER, retry_after_seconds=5.0)
        return errors.DeadlineExceeded()

    def _forget(self, job_id: str) -> None:
        """Has a result removed that was handed on, soon and together with others: nobody waits for that."""
        self._answered.append(job_id)
        if len(self._answered) == 1:
            self._beside(self._forget_answered())

    async def _forget_answered(self) -> None:
        await asyncio.sleep(TIDY_SECONDS)
        answered, self._answered = self._answered, []
        await self._desk.forget(answered)

    def _tidy(self, action: Coroutine[Any, Any, object]) -> None:
        """Lets something happen that nobody waits for; what fails now goes when its time is over."""
        if len(self._tidying) < TIDY_TASKS:
            self._beside(action)
        else:
            action.close()

    def _beside(self, action: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(_quietly(action))
        self._tidying.add(task)
        task.add_done_callback(self._tidying.discard)


async def _quietly(action: Coroutine[Any, Any, object]) -> None:
    with suppress(errors.CapacityError):
        await action


def _problem_of(job: Job | None, *, is_result_gone: bool) -> errors.HeliographError | None:
    """Why a job will have no result, if it will have none."""
    if job is None:
        return errors.PayloadLost("The queue's server has lost the job.")
    if job.problem is not None:
        return errors.by_code(job.problem.code, job.problem.message)
    if job.state is JobState.CANCELLED:
        return errors.JobCancelled()
    return errors.ResultExpired() if job.is_expired or is_result_gone else None
