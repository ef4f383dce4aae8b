"""A gateway knows models by what the workers say of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace

import pytest

from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.queue import QueueRules
from heliograph.core.workers import HEARTBEAT_SECONDS, WorkerInfo, WorkerState
from heliograph.serving.model_table import ModelState, Plan, ServedModel
from heliograph.serving.remote_models import RemoteModels
from heliograph.worker.heartbeat import Heart
from queue_trials import MemoryTrial
from unit.serving.parts import model_spec

HELP = "run `heliograph models pull stub`"


def table() -> RemoteModels:
    return RemoteModels([ServedModel("stub", model_spec())], {Task.CLASSIFICATION: "stub"})


def worker(state: WorkerState, model: str, name: str = "w") -> WorkerInfo:
    problems = {"stub": HELP} if model == "unavailable" else {}
    return WorkerInfo(
        name=name, state=state, host="h", pid=1, models={"stub": model, "other": "ready"}, problems=problems
    )


RUNS = Plan(engine="openvino", precision="fp32", streams=2, threads_per_stream=1, max_batch=4)
PLAN = asdict(RUNS)


def with_plan(name: str, plan: object, state: WorkerState = WorkerState.READY) -> WorkerInfo:
    return replace(worker(state, "ready", name), plans=json.loads(json.dumps({"stub": plan})))


def test_the_plan_is_that_of_a_worker_that_serves_and_its_variant_can_be_named() -> None:
    models = table()
    with pytest.raises(errors.ModelUnknown):
        models.find("stub-fp32", None)
    other = {**PLAN, "precision": "int8"}
    models.observe([with_plan("gone", other, WorkerState.GONE), with_plan("w", {**PLAN, "newer": 1})])
    found = models.find("stub-fp32", None)
    assert found.plan == RUNS
    models.observe([])  # all scaled away; requests go on to use the name
    assert models.find("stub-fp32", None) is found
    models.observe([with_plan("x", other)])
    assert models.find("stub-int8", None) is found


@pytest.mark.parametrize("told", [{}, {"engine": "onnx"}, [], "x", None])
def test_a_plan_of_another_version_is_none(told: object) -> None:
    models = table()
    models.observe([with_plan("w", told)])
    assert models.find("stub", None).plan is None
    models.observe([with_plan("w", told), with_plan("x", PLAN)])
    assert models.find("stub", None).plan is not None


@pytest.mark.anyio
async def test_a_heart_tells_the_plans_of_what_is_loaded() -> None:
    stub, bare = ServedModel("stub", model_spec()), ServedModel("bare", model_spec("bare"))
    stub.state, stub.plan = ModelState.READY, RUNS
    trial = MemoryTrial(QueueRules())
    heart = Heart("w", trial.source, [stub, bare], load=lambda: (0, 0), now=lambda: 0.0)
    heart.is_starting = False
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):  # it beats at once, and goes on for ever
            await heart.beat()
    heard = await trial.desk.workers()
    assert heard[0].plans == {"stub": PLAN}
    models = table()
    models.observe(heard)
    assert models.find("stub-fp32", None).plan == RUNS


def test_it_is_ready_without_workers() -> None:
    models = table()
    models.observe([])
    assert models.ready
    models.find("stub", None).check_available()


def test_one_worker_that_has_the_model_is_enough() -> None:
    models = table()
    models.observe([worker(WorkerState.READY, "unavailable"), worker(WorkerState.BUSY, "ready", "x")])
    assert models.find(None, Task.CLASSIFICATION).state is ModelState.READY


def test_a_model_that_all_lack_is_refused_with_what_helps() -> None:
    models = table()
    models.observe([worker(WorkerState.READY, "unavailable"), worker(WorkerState.STARTING, "loading", "x")])
    with pytest.raises(errors.ModelUnavailable, match="models pull"):
        models.find("stub", None).check_available()


@pytest.mark.parametrize("state", [WorkerState.GONE, WorkerState.STARTING, WorkerState.STOPPING])
def test_who_does_not_serve_is_not_asked(state: WorkerState) -> None:
    models = table()
    models.observe([worker(state, "unavailable")])
    assert models.find("stub", None).state is ModelState.LOADING


async def test_a_package_appears_once_a_worker_that_serves_has_it() -> None:
    models = table()
    models.observe([worker(WorkerState.READY, "ready")])
    await models.take("new", model_spec("new"))
    with pytest.raises(errors.ModelUnknown):
        models.find("new", None)
    models.observe([replace(worker(WorkerState.READY, "ready"), models={"new": "ready"})])
    assert models.find("new", None).state is ModelState.READY
    await models.leave("new")
    with pytest.raises(errors.ModelGone, match="any more"):
        models.find("new", None)


async def test_a_package_appears_at_once_while_no_worker_serves() -> None:
    models = table()
    models.observe([worker(WorkerState.STARTING, "ready")])
    await models.take("new", model_spec("new"))
    assert models.find("new", None).state is ModelState.LOADING


async def test_a_package_that_is_replaced_is_as_the_workers_last_said() -> None:
    models = table()
    models.observe([with_plan("w", PLAN)])
    await models.take("stub", replace(model_spec(), version="2"))
    found = models.find("stub-fp32", None)
    assert (found.spec.version, found.state, found.plan) == ("2", ModelState.READY, RUNS)


async def test_a_package_that_comes_and_leaves_unseen_never_appears() -> None:
    models = table()
    models.observe([worker(WorkerState.READY, "ready")])
    await models.take("new", model_spec("new"))
    await models.leave("new")
    models.observe([replace(worker(WorkerState.READY, "ready"), models={"new": "ready"})])
    assert [model.reference for model in models] == ["stub"]


async def test_a_worker_tells_of_a_new_model_before_its_next_heartbeat_is_due() -> None:
    trial, models = MemoryTrial(QueueRules()), table()
    heart = Heart("w", trial.source, models, load=lambda: (0, 0), now=lambda: 0.0)
    models.on_change = heart.note_change

    async def come() -> None:
        await asyncio.sleep(0.1)
        assert list((await trial.desk.workers())[0].models) == ["stub"]
        await models.take("new", model_spec("new"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.75 * HEARTBEAT_SECONDS):
            await asyncio.gather(heart.beat(), come())
    assert list((await trial.desk.workers())[0].models) == ["stub", "new"]
