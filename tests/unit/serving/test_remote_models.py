"""A gateway knows models by what the workers say of them."""

from __future__ import annotations

import pytest

from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.model_table import ModelState, ServedModel
from heliograph.serving.remote_models import RemoteModels
from unit.serving.parts import model_spec

HELP = "run `heliograph models pull stub`"


def table() -> RemoteModels:
    return RemoteModels([ServedModel("stub", model_spec())], {Task.CLASSIFICATION: "stub"})


def worker(state: WorkerState, model: str, name: str = "w") -> WorkerInfo:
    problems = {"stub": HELP} if model == "unavailable" else {}
    return WorkerInfo(
        name=name, state=state, host="h", pid=1, models={"stub": model, "other": "ready"}, problems=problems
    )


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
