"""The synchronous use case: which model, how long at most, and one answer a picture."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.ports import Clock
from heliograph.core.predictions import CutoutOptions, EncodedPicture, LabelledPicture
from heliograph.serving.model_table import ModelTable, ServedModel
from heliograph.serving.served import ServedModels

log = logging.getLogger(__name__)

PICTURES_AT_ONCE = 8
"""How many pictures of one request are on their way together; the rest of them waits as bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPicture:
    """A picture file as it was sent; ``name`` is only repeated in the answer."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """The answer for one of several pictures: its labels, or why there are none."""

    name: str
    outcome: LabelledPicture | errors.HeliographError


class Predictor(ABC):
    """Answers pictures with the models that are served, by this process or by the workers of a queue."""

    def __init__(self, models: ModelTable, *, timeout_seconds: float, clock: Clock) -> None:
        self._models = models
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def choose(self, model: str | None, task: Task | None = None) -> ServedModel:
        """The model that a request means; see `ModelTable.find`."""
        return self._models.find(model, task)

    def deadline(self) -> float:
        """The deadline of a request that begins now, in the clock's seconds."""
        return self._clock() + self._timeout_seconds

    def seconds_until(self, deadline: float) -> float:
        """Seconds from now; negative when it is over."""
        return deadline - self._clock()

    @abstractmethod
    async def wait_for(self, model: ServedModel, *, deadline: float) -> None:
        """Returns once the model may be asked.

        Raises:
            ModelUnavailable, ModelInvalid: it will not come.
            DeadlineExceeded: it still loads.
        """

    @abstractmethod
    async def classify(
        self, model: ServedModel, picture: NamedPicture, *, top: int, deadline: float
    ) -> LabelledPicture:
        """The labels of one picture.

        Raises:
            PictureError, PictureMissing: the picture cannot be answered.
            CapacityError, DeadlineExceeded, EngineFailed: see `Batcher.submit`; or the queue refuses.
            ModelUnavailable, ModelInvalid: see `wait_for`.
        """

    @abstractmethod
    async def cut_out(
        self, model: ServedModel, picture: NamedPicture, options: CutoutOptions, *, deadline: float
    ) -> EncodedPicture:
        """One picture without its background; errors as `classify`."""

    async def classify_many(
        self, model: ServedModel, pictures: Sequence[NamedPicture], *, top: int, deadline: float
    ) -> list[LabelledAnswer]:
        """One answer a picture, in their order; a picture that fails harms no other."""
        return await answer_all(
            pictures, lambda picture: self.classify(model, picture, top=top, deadline=deadline), model
        )


async def answer_all(
    pictures: Sequence[NamedPicture],
    answer: Callable[[NamedPicture], Awaitable[LabelledPicture]],
    model: ServedModel,
) -> list[LabelledAnswer]:
    """What ``answer`` says to each, or why it says nothing; `PICTURES_AT_ONCE` of them together."""
    places = asyncio.Semaphore(PICTURES_AT_ONCE)

    async def one(picture: NamedPicture) -> LabelledAnswer:
        async with places:
            try:
                outcome: LabelledPicture | errors.HeliographError = await answer(picture)
            except errors.HeliographError as error:
                outcome = error
            except Exception:
                log.exception("This is a bug.", extra={"model": model.reference})
                outcome = errors.HeliographError()
        return LabelledAnswer(name=picture.name, outcome=outcome)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(picture)) for picture in pictures]
    return [task.result() for task in tasks]


class LocalPredictor(Predictor):
    """Answers with the engines of this process."""

    def __init__(self, models: ServedModels, *, timeout_seconds: float, clock: Clock) -> None:
        super().__init__(models, timeout_seconds=timeout_seconds, clock=clock)
        self._served = models

    async def wait_for(self, model: ServedModel, *, deadline: float) -> None:
        """Returns once the model is loaded."""
        await self._served.loaded(model, self.seconds_until(deadline))

    async def classify(
        self, model: ServedModel, picture: NamedPicture, *, top: int, deadline: float
    ) -> LabelledPicture:
        """The labels of one picture."""
        async with self._served.using(model, self.seconds_until(deadline)) as loaded:
            return await loaded.pipeline.classify(picture.data, top=top, deadline=deadline)

    async def classify_many(
        self, model: ServedModel, pictures: Sequence[NamedPicture], *, top: int, deadline: float
    ) -> list[LabelledAnswer]:
        """One answer a picture, all of the same model: one that leaves stays until the last of them."""
        async with self._served.using(model, self.seconds_until(deadline)) as loaded:

            async def one(picture: NamedPicture) -> LabelledPicture:
                return await loaded.pipeline.classify(picture.data, top=top, deadline=deadline)

            return await answer_all(pictures, one, model)

    async def cut_out(
        self, model: ServedModel, picture: NamedPicture, options: CutoutOptions, *, deadline: float
    ) -> EncodedPicture:
        """One picture without its background."""
        async with self._served.using(model, self.seconds_until(deadline)) as loaded:
            return await loaded.pipeline.cut_out(picture.data, options, deadline=deadline)
