"""The models that this process serves: loads them in the background, and closes them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.ports import Engine, EngineLoader, EngineOptions, ModelFile, ModelStore
from heliograph.serving.batcher import Batcher, BatchRules
from heliograph.serving.model_table import ModelState, ModelTable, Plan, ServedModel
from heliograph.serving.pipeline import Pipeline, Workshop
from heliograph.serving.streams import EngineStreams

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that answers."""

    file: ModelFile
    plan: Plan
    pipeline: Pipeline
    batcher: Batcher
    streams: EngineStreams


class LocalModel(ServedModel):
    """One model that this process serves, from its name to its readiness."""

    def __init__(self, reference: str, spec: ModelSpec) -> None:
        super().__init__(reference, spec)
        self.loaded: Loaded | None = None
        self._settled = asyncio.Event()
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def settle(self, outcome: Loaded | errors.HeliographError) -> None:
        """Leaves `ModelState.LOADING`, for readiness or for a problem."""
        if isinstance(outcome, Loaded):
            self.loaded, self.plan = outcome, outcome.plan
            self.state = ModelState.READY
        else:
            self.problem = outcome
            self.state = ModelState.UNAVAILABLE
        self._settled.set()

    async def wait_until_settled(self) -> None:
        """Returns once it does not load any more."""
        await self._settled.wait()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While the context is open its engine is needed."""
        self._users += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def wait_until_idle(self) -> None:
        """Returns once nobody needs its engine."""
        await self._idle.wait()

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
            self.check_available()
        if self.loaded is None:
            raise RuntimeError("This is a bug: a settled model is neither loaded nor unavailable.")
        return self.loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingRules:
    """What is served and how: models in the order in which they load, defaults a task, batch rules.

    ``max_batch`` None leaves each model the largest batch that its package recommends. A model that is taken out
    of service has ``retire_seconds`` to answer what it is at.
    """

    models: Sequence[str]
    defaults: Mapping[Task, str]
    streams: int = 1
    threads_per_stream: int = 1
    max_batch: int | None = None
    max_wait_seconds: float = 0.005
    max_waiting: int = 1024
    retire_seconds: float = 60.0


class ServedModels(ModelTable):
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
        self._local = {name: LocalModel(name, store.spec(name)) for name in rules.models}
        super().__init__(self._local.values(), rules.defaults)
        self._task: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def loaded(self, model: ServedModel, timeout_seconds: float) -> Loaded:
        """A model of this table, once it is loaded; see `LocalModel.ready`."""
        return await self._current(model).ready(timeout_seconds)

    @asynccontextmanager
    async def using(self, model: ServedModel, timeout_seconds: float) -> AsyncIterator[Loaded]:
        """The same, and it stays loaded while the context is open.

        Raises:
            ModelGone, ModelTaskMismatch: it left the store since it was found, or another one took its name.
            ModelUnavailable, ModelInvalid, DeadlineExceeded: see `LocalModel.ready`.
        """
        current = self._current(model)
        loaded = await current.ready(timeout_seconds)
        with current.in_use():
            yield loaded

    def _current(self, model: ServedModel) -> LocalModel:
        current = self._local.get(model.reference)
        if current is None:
            raise errors.ModelGone(f"The model {model.reference} is not served any more.")
        if current.spec.task is not model.spec.task:
            raise errors.ModelTaskMismatch(f"{model.reference} is a model for {current.spec.task} now.")
        return current

    async def take(self, reference: str, spec: ModelSpec) -> None:
        """Serves a package that came into the store, or another one in the place of one of its name.

        It appears once it is loaded, so that readiness does not change; the old one answers until then, and ends
        what it is at. One that cannot be loaded appears with its problem, unless an old one goes on.
        """
        new, old = LocalModel(reference, spec), self._local.get(reference)
        await self._load_into(new)
        if new.loaded is None and old is not None and old.loaded is not None:
            return
        self._local[reference] = new
        self._put(new)
        if old is not None:
            self._retire(old)

    async def leave(self, reference: str) -> None:
        """Serves a model no more; what it is at is answered still."""
        old = self._local.pop(reference, None)
        await super().leave(reference)
        if old is not None:
            self._retire(old)
            log.info("model left", extra={"model": reference})

    def _retire(self, model: LocalModel) -> None:
        if model.loaded is not None:
            task = asyncio.get_running_loop().create_task(self._retired(model, model.loaded))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retired(self, model: LocalModel, loaded: Loaded) -> None:
        deadline = self._shop.clock() + self._rules.retire_seconds
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rules.retire_seconds):
                    await model.wait_until_idle()
        finally:
            await _close(loaded, deadline)
        now = self._local.get(model.reference)
        if now is None or now.plan != loaded.plan or now.spec.version != model.spec.version:
            self._shop.metrics.model_left(
                model.spec.name, model.spec.version, loaded.plan.precision, loaded.plan.engine
            )

    async def wait_until_settled(self) -> None:
        """Returns once no model is loading any more."""
        for model in tuple(self._local.values()):
            await model.wait_until_settled()

    def start(self) -> None:
        """Begins to load, in the order of the rules; requests for a model wait until it is there."""
        self._task = asyncio.get_running_loop().create_task(self._load_all())

    async def close(self, *, deadline: float) -> None:
        """Answers what waits until ``deadline`` (in the clock's seconds), then frees the engines."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        loaded = [model.loaded for model in self._local.values() if model.loaded is not None]
        for retiring in tuple(self._retiring):
            retiring.cancel()
        await asyncio.gather(*(_close(each, deadline) for each in loaded))
        await asyncio.gather(*self._retiring, return_exceptions=True)

    async def _load_all(self) -> None:
        for model in tuple(self._local.values()):
            await self._load_into(model)

    async def _load_into(self, model: LocalModel) -> None:
        """Loads it, or notes why it cannot be."""
        started = self._shop.clock()
        loop = asyncio.get_running_loop()
        try:
            file, engine = await loop.run_in_executor(self._loading, self._load_one, model)
            loaded = self._assemble_or_close(file, engine)
        except errors.HeliographError as error:
            log.warning(error.message, extra={"model": model.reference})
            model.settle(error)
        except Exception as error:
            log.exception("model failed to load", extra={"model": model.reference})
            model.settle(errors.ModelInvalid(f"{model.reference}: {errors.excerpt(error)}"))
        else:
            model.settle(loaded)
            self._announce(model, loaded.plan, self._shop.clock() - started)

    def _load_one(self, model: LocalModel) -> tuple[ModelFile, Engine]:
        """In a thread: the model's file and engine."""
        file = self._store.find(model.reference)
        return file, self._load(file, self._options(file.spec))

    def _options(self, spec: ModelSpec) -> EngineOptions:
        return EngineOptions(
            streams=self._rules.streams,
            threads_per_stream=self._rules.threads_per_stream,
            max_batch=min(spec.max_batch, self._rules.max_batch or spec.max_batch),
        )

    def _assemble_or_close(self, file: ModelFile, engine: Engine) -> Loaded:
        try:
            return self._assemble(file, engine)
        except Exception:
            engine.close()
            raise

    def _assemble(self, file: ModelFile, engine: Engine) -> Loaded:
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
                seconds_per_picture=engine.trial_seconds,
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

    def _announce(self, model: LocalModel, plan: Plan, seconds: float) -> None:
        try:
            self._shop.metrics.model_loaded(model.spec.name, model.spec.version, plan.precision, plan.engine)
        except Exception:  # it answers all the same, and others have to be loaded
            log.exception("model is not counted", extra={"model": model.reference})
        log.info(
            "model ready",
            extra={
                "model": model.reference,
                "precision": plan.precision,
                "engine": plan.engine,
                "seconds": round(seconds, 3),
            },
        )


async def _close(loaded: Loaded, deadline: float) -> None:
    """Answers what waits until ``deadline``, then frees the engine."""
    await loaded.batcher.stop(deadline=deadline)
    await asyncio.to_thread(loaded.streams.close)  # may wait for a batch; signals must be heard
