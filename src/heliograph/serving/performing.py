"""Does one job of a queue with the engines of this process."""

from __future__ import annotations

from heliograph.core import errors
from heliograph.core.jobs import Assignment, JobResult
from heliograph.core.models import Task
from heliograph.core.ports import Clock
from heliograph.core.predictions import Prediction
from heliograph.serving.answers import pack_result, unpack_job
from heliograph.serving.served import ServedModels


class Performer:
    """Turns a job into its result. ``worker`` is the name that results bear, ``seconds`` the time that a job has."""

    def __init__(self, models: ServedModels, *, worker: str, seconds: float, clock: Clock) -> None:
        self._models = models
        self._worker = worker
        self._seconds = seconds
        self._clock = clock

    async def __call__(self, assignment: Assignment) -> JobResult:
        """The result of a job.

        Raises:
            DeadlineExceeded: it has had its time, be it for decoding, waiting or computing.
            ModelUnknown, ModelUnavailable, ModelInvalid: the model cannot be used here, or not yet.
            ModelGone, ModelTaskMismatch: its package has left the store, or another one has taken its place.
            HeliographError: as `Pipeline.classify`.
        """
        deadline = self._clock() + self._seconds
        try:
            return await self._do(assignment, deadline)
        except errors.Overloaded:
            if self._clock() >= deadline:  # not for want of room: it would be as slow the next time
                raise errors.DeadlineExceeded from None
            raise

    async def _do(self, assignment: Assignment, deadline: float) -> JobResult:
        picture, wanted = unpack_job(assignment.payload, assignment.parameters)
        model = self._models.find(assignment.model, None)
        answer: Prediction
        async with self._models.using(model, self._seconds) as loaded:
            if model.spec.task is Task.CLASSIFICATION:
                answer = await loaded.pipeline.classify(picture, top=wanted.top, deadline=deadline)
            else:
                answer = await loaded.pipeline.cut_out(picture, wanted.cutout, deadline=deadline)
        return pack_result(answer, loaded.file.spec, worker=self._worker)
