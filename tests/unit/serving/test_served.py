"""Which model a request means, when it is there, and one answer a picture."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from heliograph.adapters.engines.stub import StubEngine
from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.ports import EngineOptions, ModelFile
from heliograph.core.predictions import LabelledPicture
from heliograph.serving import served
from heliograph.serving.admission import PixelBudget
from heliograph.serving.batcher import Batcher
from heliograph.serving.model_table import ModelState, ServedModel
from heliograph.serving.pipeline import Pipeline, Workshop
from heliograph.serving.predict import PICTURES_AT_ONCE, LocalPredictor, NamedPicture
from heliograph.serving.served import ServedModels, ServingRules
from heliograph.serving.threads import WorkerThreads
from unit.serving.parts import DictStore, NumberImaging, Tally, model_spec

DEFAULTS = {Task.CLASSIFICATION: "first", Task.BACKGROUND_REMOVAL: "remover"}
SPECS = (model_spec("first"), model_spec("second"), model_spec("remover", Task.BACKGROUND_REMOVAL))
NAMES = ("first", "second", "remover")


class Loader:
    """An `EngineLoader` of stub engines: it notes the order, waits at ``gate``, fails as it is told."""

    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.order: list[str] = []
        self.engines: list[StubEngine] = []
        self.gate = threading.Event()
        self._failures = failures or {}

    def __call__(self, model: ModelFile, options: EngineOptions) -> StubEngine:
        assert self.gate.wait(10)
        self.order.append(model.spec.name)
        if model.spec.name in self._failures:
            raise self._failures[model.spec.name]
        self.engines.append(StubEngine(model.spec))
        return self.engines[-1]


@asynccontextmanager
async def serving(
    load: Loader, names: Sequence[str] = NAMES, store: DictStore | None = None
) -> AsyncIterator[ServedModels]:
    with WorkerThreads(2, name="decode") as threads, ThreadPoolExecutor(1) as loading:
        workshop = Workshop(
            imaging=NumberImaging(),
            threads=threads,
            pixels=PixelBudget(100),
            clock=time.monotonic,
            metrics=Tally(),
        )
        models = ServedModels(
            store=store or DictStore(SPECS),
            load=load,
            rules=ServingRules(models=names, defaults=DEFAULTS),
            workshop=workshop,
            loading=loading,
        )
        models.start()
        try:
            yield models
        finally:
            load.gate.set()
            await models.close(deadline=time.monotonic() + 5)


async def test_models_load_in_their_order_and_requests_wait_for_theirs() -> None:
    load = Loader()
    async with serving(load) as models:
        assert not models.settled
        waiting = asyncio.create_task(models.loaded(models.find("second", None), 10))
        await asyncio.sleep(0)
        assert not waiting.done()
        load.gate.set()
        assert (await waiting).plan.precision == "fp32"
        await models.loaded(models.find("remover", None), 10)
        assert load.order == list(NAMES)
        assert models.ready
    assert len(load.engines) == 3
    assert all(engine.closed for engine in load.engines)


async def test_who_waits_too_long_for_a_model_hears_of_it() -> None:
    async with serving(Loader()) as models:
        for patience in (0.01, 0, -1):
            with pytest.raises(errors.DeadlineExceeded, match="loading"):
                await models.loaded(models.find("first", None), patience)


async def test_a_model_that_does_not_come_does_not_stop_the_next() -> None:
    missing = errors.ModelUnavailable("Run this command.")
    load = Loader({"second": ValueError("odd graph")})
    load.gate.set()
    async with serving(load, store=DictStore(SPECS, {"first": missing})) as models:
        await models.loaded(models.find("remover", None), 10)
        assert models.ready
        with pytest.raises(errors.ModelUnavailable, match=r"Run this command\.") as refusal:
            await models.loaded(models.find("first", None), 10)
        assert refusal.value is not missing
        with pytest.raises(errors.ModelInvalid, match="odd graph"):
            await models.loaded(models.find("second", None), 10)
        assert [model.state for model in models] == [
            ModelState.UNAVAILABLE,
            ModelState.UNAVAILABLE,
            ModelState.READY,
        ]


async def test_a_model_that_cannot_be_put_together_does_not_stop_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def put_together(spec: ModelSpec, batcher: Batcher, shop: Workshop) -> Pipeline:
        if spec.name == "first":
            raise LookupError("no such step")
        return Pipeline(spec, batcher, shop)

    monkeypatch.setattr(served, "Pipeline", put_together)
    load = Loader()
    load.gate.set()
    async with serving(load) as models:
        await models.loaded(models.find("remover", None), 10)
        with pytest.raises(errors.ModelInvalid, match="no such step"):
            await models.loaded(models.find("first", None), 10)
        assert models.settled
        assert [engine.closed for engine in load.engines] == [True, False, False]


async def test_a_model_that_cannot_be_counted_answers_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Tally, *facts: str) -> None:
        raise ValueError("duplicate")

    monkeypatch.setattr(Tally, "model_loaded", refuse)
    load = Loader()
    load.gate.set()
    async with serving(load) as models:
        await models.loaded(models.find("remover", None), 10)
        assert models.ready


async def test_without_any_model_it_is_settled_and_not_ready() -> None:
    load = Loader({"first": errors.ModelInvalid("no")})
    load.gate.set()
    async with serving(load, ["first"]) as models:
        with pytest.raises(errors.ModelInvalid):
            await models.loaded(models.find("first", None), 10)
        assert (models.settled, models.ready) == (True, False)


async def test_names_defaults_and_tasks() -> None:
    load = Loader()
    async with serving(load, ["first", "second-fp32", "remover"]) as models:
        assert models.find(None, Task.CLASSIFICATION).reference == "first"
        assert models.find("second", None).reference == "second-fp32"
        for unknown in ("", "first-", "first-int8", "third", "x" * 500):
            with pytest.raises(errors.ModelUnknown) as refusal:
                models.find(unknown, None)
            assert len(refusal.value.message) < 400
        with pytest.raises(errors.ModelUnknown):
            models.find(None, None)
        with pytest.raises(errors.ModelTaskMismatch):
            models.find("remover", Task.CLASSIFICATION)
        load.gate.set()
        await models.loaded(models.find("remover", None), 10)
        assert models.find("first-fp32", None).reference == "first"
        first, second = models.find("first", None), models.find("second-fp32", None)
        assert models.names_ready() == {
            "first",
            "first-fp32",
            "second",
            "second-fp32",
            "remover",
            "remover-fp32",
        }
        first.state = ModelState.UNAVAILABLE
        assert models.names_ready() == {"second", "second-fp32", "remover", "remover-fp32"}
        # A model's own name is no other one's, whatever state it is in.
        lacking = ServedModel("second", second.spec)
        lacking.state = ModelState.UNAVAILABLE
        models._put(lacking)
        assert models.names_ready() == {"second-fp32", "remover", "remover-fp32"}


async def test_a_default_that_another_task_takes_the_name_of_is_as_if_it_were_not_there() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load) as models:
        await models.take("other", model_spec("other", Task.BACKGROUND_REMOVAL))
        await models.take("remover", model_spec("remover"))
        assert models.find(None, Task.BACKGROUND_REMOVAL).reference == "other"
        await models.leave("other")
        assert list(models.defaults) == [Task.CLASSIFICATION]
        await models.leave("remover")
        with pytest.raises(errors.ModelGone):
            models.find(None, Task.BACKGROUND_REMOVAL)


async def test_an_unknown_model_stops_the_start() -> None:
    with pytest.raises(errors.ModelUnknown):
        async with serving(Loader(), ["third"]):
            pass


async def test_one_bad_picture_harms_no_other() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load) as models:
        predictor = LocalPredictor(models, timeout_seconds=10, clock=time.monotonic)
        pictures = [
            NamedPicture(name=str(n), data=data) for n, data in enumerate([b"1", b"junk", b"13", b"2"] * 5)
        ]
        answers = await predictor.classify_many(
            predictor.choose("first"), pictures, top=1, deadline=predictor.deadline()
        )
    assert [answer.name for answer in answers] == [str(n) for n in range(20)]
    kinds = [type(answer.outcome) for answer in answers]
    assert kinds == [LabelledPicture, errors.PictureFormatUnknown, errors.PictureBroken, LabelledPicture] * 5
    good = [answer.outcome for answer in answers if isinstance(answer.outcome, LabelledPicture)]
    probabilities = [outcome.labels[0].probability for outcome in good]
    assert probabilities[:2] == pytest.approx([3.0, 6.0])  # three times the sum of twelve numbers


async def test_a_model_that_is_added_appears_once_it_is_loaded() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load, names=["first"]) as models:
        await models.wait_until_settled()
        load.gate.clear()
        taking = asyncio.create_task(models.take("second", model_spec("second")))
        await asyncio.sleep(0.01)
        assert models.ready, "readiness does not change while it loads"
        with pytest.raises(errors.ModelUnknown):
            models.find("second", None)
        load.gate.set()
        await taking
        assert models.find("second", None).state is ModelState.READY


async def test_a_model_that_leaves_answers_what_it_is_at() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load, names=["first", "second"]) as models:
        await models.wait_until_settled()
        model = models.find("second", None)
        async with models.using(model, 1) as loaded:
            await models.leave("second")
            with pytest.raises(errors.ModelUnknown):
                models.find("second", None)
            await asyncio.sleep(0.01)
            await loaded.pipeline.classify(b"1", top=1, deadline=time.monotonic() + 5)
        with pytest.raises(errors.ModelUnknown, match="any more"):
            await models.loaded(model, 1)
        await asyncio.gather(*models._retiring)
        assert [engine.closed for engine in load.engines] == [False, True]


async def test_a_model_that_leaves_answers_all_pictures_of_a_request() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load, names=["first", "second"]) as models:
        await models.wait_until_settled()
        predictor = LocalPredictor(models, timeout_seconds=10, clock=time.monotonic)
        pictures = [NamedPicture(name=str(n), data=b"1") for n in range(5 * PICTURES_AT_ONCE)]
        asking = asyncio.create_task(
            predictor.classify_many(
                predictor.choose("second"), pictures, top=1, deadline=predictor.deadline()
            )
        )
        await asyncio.sleep(0)  # it has found its model now
        await models.leave("second")
        answers = await asking
        assert {type(answer.outcome) for answer in answers} == {LabelledPicture}
        await asyncio.gather(*models._retiring)
        assert load.engines[1].closed


async def test_another_model_of_the_name_takes_over_and_a_broken_one_does_not() -> None:
    load = Loader()
    load.gate.set()
    async with serving(load, names=["first"]) as models:
        await models.wait_until_settled()
        before = models.find("first", None)
        await models.take("first", model_spec("first"))
        assert models.find("first", None) is not before
        await asyncio.gather(*models._retiring)
        assert load.engines[0].closed
        assert (await models.loaded(before, 1)).plan.engine == "stub", (
            "who found the old one is answered by the new"
        )
        load._failures["first"] = errors.ModelInvalid("broken")
        now = models.find("first", None)
        await models.take("first", model_spec("first"))
        assert models.find("first", None) is now
