"""The models of a queue's workers, as a gateway knows them: from their specs and the workers' heartbeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task
from heliograph.core.workers import SERVING, WorkerInfo
from heliograph.serving.model_table import ModelState, ModelTable, Plan, ServedModel


class RemoteModels(ModelTable):
    """The table of a gateway. It is ready without any worker: jobs wait until one comes.

    A package that comes into the store while workers serve appears once one of them has it, so that no worker is asked
    for a model that it has not seen yet.
    """

    def __init__(self, models: Iterable[ServedModel], defaults: Mapping[Task, str]) -> None:
        super().__init__(models, defaults)
        self._expected: dict[str, ServedModel] = {}
        self._serving: Sequence[WorkerInfo] = ()

    async def take(self, reference: str, spec: ModelSpec) -> None:
        """Serves a package that came into the store, or another one in the place of one of its name."""
        if reference in self._models:
            await super().take(reference, spec)
            _observe(self._models[reference], self._serving)
        else:
            self._expected[reference] = ServedModel(reference, spec)
            self._admit()

    async def leave(self, reference: str) -> None:
        """Serves a model no more."""
        self._expected.pop(reference, None)
        await super().leave(reference)

    @property
    def lacking(self) -> Sequence[str]:
        """None: nothing loads here."""
        return ()

    @property
    def settled(self) -> bool:
        """Always: nothing loads here."""
        return True

    @property
    def ready(self) -> bool:
        """Always: what is accepted is kept until a worker has time."""
        return True

    def observe(self, workers: Iterable[WorkerInfo]) -> None:
        """Takes over what the workers say.

        A model is ready if one worker that serves has it, unavailable if those that serve all lack it, and else on
        its way. The plan is that of the first worker that has it ready and tells one; it stays while there is no
        such worker, so that names which requests use do not come and go with the workers.
        """
        self._serving = [worker for worker in workers if worker.state in SERVING]
        self._admit()
        for model in self:
            _observe(model, self._serving)

    def _admit(self) -> None:
        for reference, model in tuple(self._expected.items()):
            if not self._serving or any(reference in worker.models for worker in self._serving):
                self._put(self._expected.pop(reference))
                _observe(model, self._serving)


def _observe(model: ServedModel, workers: Sequence[WorkerInfo]) -> None:
    told = {worker.models.get(model.reference): worker for worker in workers}
    told.pop(None, None)
    if ModelState.READY in told:
        model.state, model.problem = ModelState.READY, None
        plans = (_plan_of(worker.plans.get(model.reference)) for worker in workers)
        model.plan = next(filter(None, plans), model.plan)
    elif set(told) == {ModelState.UNAVAILABLE}:
        reason = told[ModelState.UNAVAILABLE].problems.get(model.reference)
        model.state, model.problem = ModelState.UNAVAILABLE, errors.ModelUnavailable(reason)
    else:
        model.state, model.problem = ModelState.LOADING, None


def _plan_of(told: Mapping[str, Any] | None) -> Plan | None:
    """What a worker tells of a model; None where a worker of another version tells less."""
    if told is None:
        return None
    try:
        return Plan(**{each.name: told[each.name] for each in fields(Plan)})
    except (KeyError, TypeError):
        return None
