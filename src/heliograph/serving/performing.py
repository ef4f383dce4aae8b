"""Does one job of a queue with the engines of this process."""

from __future__ import annotations

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
        """The result of a job; errors as `Pipeline.classify`, and `ModelUnknown` for a model that is not served."""
        deadline = self._clock() + self._seconds
        picture, wanted = unpack_job(assignment.payload, assignment.parameters)
        model = self._models.find(assignment.model, None)
        pipeline = (await self._models.loaded(model, self._seconds)).pipeline
        answer: Prediction
        if model.spec.task is Task.CLASSIFICATION:
            answer = await pipeline.classify(picture, top=wanted.top, deadline=deadline)
        else:
            answer = await pipeline.cut_out(picture, wanted.cutout, deadline=deadline)
        return pack_result(answer, model.spec, worker=self._worker)
