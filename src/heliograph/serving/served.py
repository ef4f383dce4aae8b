"""Which models this process serves, and in what state each of them is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.ports import Engine, EngineLoader, EngineOptions, ModelFile, ModelStore
from heliograph.serving.batcher import Batcher, BatchRules
from heliograph.serving.pipeline import Pipeline, Workshop
from heliograph.serving.streams import EngineStreams

log = logging.getLogger(__name__)


class ModelState(StrEnum):
    """Where a served model is on its way."""

    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a loaded model runs on this machine."""

    engine: str
    precision: str
    streams: int
    threads_per_stream: int
    max_batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that answers."""

    file: ModelFile
    plan: Plan
    pipeline: Pipeline
    batcher: Batcher
    streams: EngineStreams


class ServedModel:
    """One model that this process serves, from its name to its readiness."""

    def __init__(self, reference: str, spec: ModelSpec) -> None:
        self.reference = reference
        self.spec = spec
        self.state = ModelState.LOADING
        self.problem: errors.HeliographError | None = None
        self.loaded: Loaded | None = None
        self._settled = asyncio.Event()

    def settle(self, outcome: Loaded | errors.HeliographError) -> None:
        """Leaves `ModelState.LOADING`, for readiness or for a problem."""
        if isinstance(outcome, Loaded):
            self.loaded = outcome
            self.state = ModelState.READY
        else:
            self.problem = outcome
            self.state = ModelState.UNAVAILABLE
        self._settled.set()

    async def ready(self, timeout_seconds: float) -> Loaded:
        """The loaded model; waits while it loads.

        Raises:
            ModelUnavailable, ModelInvalid: it will not come.
            DeadlineExceeded: it still loads after ``timeout_seconds``.
        """
        if self.loaded is None:
            try:
                async with asyncio.timeout(max(0.0, timeout_seconds)):
                    await self._settled.wait()
            except TimeoutError:
                raise errors.DeadlineExceeded(f"The model {self.reference} is still loading.") from None
        if self.loaded is None:
            problem = self.problem or errors.ModelUnavailable()
            raise type(problem)(problem.message)
        return self.loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRules:
    """What is served and how: models in the order in which they load, defaults a task, batch rules.

    ``max_batch`` None leaves each model the largest batch that its package recommends.
    """

    models: Sequence[str]
    defaults: Mapping[Task, str]
    streams: int = 1
    threads_per_stream: int = 1
    max_batch: int | None = None
    max_wait_seconds: float = 0.005
    max_waiting: int = 1024


class ServedModels:
    """Loads models in the background, finds the one that a request means, closes them.

    Args:
        store: where models are found.
        load: loads a file in an engine.
        rules: what is served and how.
        workshop: what the pipelines share.
        loading: runs the blocking loads, one after the other.
    """

    def __init__(
        self,
        *,
        store: ModelStore,
        load: EngineLoader,
        rules: ServingRules,
        workshop: Workshop,
        loading: Executor,
    ) -> None:
        self._store = store
        self._load = load
        self._rules = rules
        self._shop = workshop
        self._loading = loading
        self._models = {name: ServedModel(name, store.spec(name)) for name in rules.models}
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def defaults(self) -> Mapping[Task, str]:
        """The model that a request without a choice means, by task."""
        return self._rules.defaults

    @property
    def settled(self) -> bool:
        """Whether no model is loading any more."""
        return all(model.state is not ModelState.LOADING for model in self)

    @property
    def ready(self) -> bool:
        """Whether every model is settled and at least one of them answers."""
        return self.settled and any(model.state is ModelState.READY for model in self)

    def start(self) -> None:
        """Begins to load, in the order of the rules; requests for a model wait until it is there."""
        self._task = asyncio.get_running_loop().create_task(self._load_all())

    def find(self, reference: str | None, task: Task | None) -> ServedModel:
        """The served model that a request means; without ``reference`` the default for ``task``.

        Raises:
            ModelUnknown: it is not served here.
            ModelTaskMismatch: it does something other than ``task``.
        """
        if reference is None:
            if task is None or task not in self._rules.defaults:
                raise errors.ModelUnknown("The request names no model.")
            reference = self._rules.defaults[task]
        model = self._models.get(reference) or self._by_name(reference)
        if model is None:
            served = ", ".join(self._models)
            raise errors.ModelUnknown(
                f"No model {errors.excerpt(reference)!r} is served here; there are: {served}."
            )
        if task is not None and model.spec.task is not task:
            raise errors.ModelTaskMismatch(
                f"{model.reference} is a model for {model.spec.task}, not for {task}."
            )
        return model

    def _by_name(self, reference: str) -> ServedModel | None:
        """A model served under its variant's name and asked for by its own, or the reverse."""
        for model in self:
            names = [model.spec.name]
            if model.loaded is not None:
                names.append(f"{model.spec.name}-{model.loaded.plan.precision}")
            if reference in names:
                return model
        return None

    async def close(self, *, deadline: float) -> None:
        """Answers what waits until ``deadline`` (in the clock's seconds), then frees the engines."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        loaded = [model.loaded for model in self if model.loaded is not None]
        await asyncio.gather(*(each.batcher.stop(deadline=deadline) for each in loaded))
        for each in loaded:
            await asyncio.to_thread(each.streams.close)  # may wait for a batch; signals must be heard

    async def _load_all(self) -> None:
        loop = asyncio.get_running_loop()
        for model in self:
            started = self._shop.clock()
            try:
                file, engine, seconds = await loop.run_in_executor(self._loading, self._load_one, model)
            except errors.HeliographError as error:
                log.warning(error.message, extra={"model": model.reference})
                model.settle(error)
            except Exception as error:
                log.exception("model failed to load", extra={"model": model.reference})
                model.settle(errors.ModelInvalid(f"{model.reference}: {errors.excerpt(error)}"))
            else:
                loaded = self._assemble(file, engine, seconds)
                model.settle(loaded)
                self._announce(model, loaded.plan, self._shop.clock() - started)

    def _load_one(self, model: ServedModel) -> tuple[ModelFile, Engine, float]:
        """In a thread: the model's file and engine, and the seconds that one picture takes."""
        file = self._store.find(model.reference)
        engine = self._load(file, self._options(file.spec))
        started = self._shop.clock()
        engine.run(np.zeros((1, *file.spec.input.shape), np.float32))
        return file, engine, self._shop.clock() - started

    def _options(self, spec: ModelSpec) -> EngineOptions:
        return EngineOptions(
            streams=self._rules.streams,
            threads_per_stream=self._rules.threads_per_stream,
            max_batch=min(spec.max_batch, self._rules.max_batch or spec.max_batch),
        )

    def _assemble(self, file: ModelFile, engine: Engine, seconds_per_picture: float) -> Loaded:
        spec, options, shop = file.spec, self._options(file.spec), self._shop
        streams = EngineStreams(
            engine,
            streams=options.streams,
            clock=shop.clock,
            on_batch=partial(shop.metrics.batch_ran, spec.name),
        )
        batcher = Batcher(
            streams,
            BatchRules(
                max_batch=options.max_batch,
                max_wait_seconds=self._rules.max_wait_seconds,
                streams=options.streams,
                max_waiting=self._rules.max_waiting,
                seconds_per_picture=seconds_per_picture,
            ),
            clock=shop.clock,
            on_drop=partial(shop.metrics.entries_dropped, spec.name),
        )
        plan = Plan(
            engine=engine.name,
            precision=file.variant.precision,
            streams=options.streams,
            threads_per_stream=options.threads_per_stream,
            max_batch=options.max_batch,
        )
        return Loaded(
            file=file, plan=plan, pipeline=Pipeline(spec, batcher, shop), batcher=batcher, streams=streams
        )

    def _announce(self, model: ServedModel, plan: Plan, seconds: float) -> None:
        self._shop.metrics.model_loaded(model.spec.name, model.spec.version, plan.precision, plan.engine)
        log.info(
            "model ready",
            extra={
                "model": model.reference,
                "precision": plan.precision,
                "engine": plan.engine,
                "seconds": round(seconds, 3),
            },
        )
