"""Which models are served, in what state each of them is, and which one a request means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from heliograph.core import errors
from heliograph.core.models import ModelSpec, Task


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


class ServedModel:
    """One model that is served, here or by the workers of a queue.

    ``plan`` is known where it is loaded, and from the workers that have loaded it.
    """

    def __init__(self, reference: str, spec: ModelSpec) -> None:
        self.reference = reference
        self.spec = spec
        self.state = ModelState.LOADING
        self.problem: errors.HeliographError | None = None
        self.plan: Plan | None = None

    def check_available(self) -> None:
        """Raises why the model will not come, if it will not: `ModelUnavailable`, `ModelInvalid`."""
        if self.state is ModelState.UNAVAILABLE:
            problem = self.problem or errors.ModelUnavailable()
            raise type(problem)(problem.message)

    @property
    def names(self) -> Set[str]:
        """By which a request may mean it: also its own name if it is served as a variant, or the reverse."""
        names = {self.reference, self.spec.name}
        if self.plan is not None:
            names.add(f"{self.spec.name}-{self.plan.precision}")
        return names


class ModelTable:
    """The models that are served, in the order in which they load, and the default of each task."""

    def __init__(self, models: Iterable[ServedModel], defaults: Mapping[Task, str]) -> None:
        self._models = {model.reference: model for model in models}
        self._defaults = defaults
        self._gone: set[str] = set()
        self.on_change: Callable[[], None] = lambda: None
        """Called when a model has come or gone."""

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(tuple(self._models.values()))

    @property
    def defaults(self) -> Mapping[Task, str]:
        """The model that a request for a task means if it names none: as set, or the first one served that does it."""
        found = {}
        for task in Task:
            wanted = self._defaults.get(task)
            does = [model.reference for model in self if model.spec.task is task]
            if wanted is not None and (wanted in does or not (does or wanted in self._models)):
                found[task] = wanted
            elif does:
                found[task] = does[0]
        return found

    async def take(self, reference: str, spec: ModelSpec) -> None:
        """Serves a package that came into the store, or another one in the place of one of its name."""
        self._put(ServedModel(reference, spec))

    async def leave(self, reference: str) -> None:
        """Serves a model no more."""
        if self._models.pop(reference, None) is not None:
            self._gone.add(reference)
            self.on_change()

    def _put(self, model: ServedModel) -> None:
        self._models[model.reference] = model
        self._gone.discard(model.reference)
        self.on_change()

    @property
    def lacking(self) -> Sequence[str]:
        """The models that could not be loaded here; other files may help."""
        return [model.reference for model in self if model.state is ModelState.UNAVAILABLE]

    def names_ready(self) -> Set[str]:
        """The names by which `find` finds a model that is ready."""
        ready = [model for model in self if model.state is ModelState.READY]
        return {name for model in ready for name in model.names if self._named(name) is model}

    def _named(self, reference: str) -> ServedModel | None:
        """The model of this very reference, or else the first one that answers to it."""
        found = self._models.get(reference)
        return found or next((model for model in self if reference in model.names), None)

    @property
    def settled(self) -> bool:
        """Whether no model is loading any more."""
        return all(model.state is not ModelState.LOADING for model in self)

    @property
    def ready(self) -> bool:
        """Whether it makes sense to send requests: every model is settled and at least one of them answers."""
        return self.settled and any(model.state is ModelState.READY for model in self)

    def find(self, reference: str | None, task: Task | None) -> ServedModel:
        """The served model that a request means; without ``reference`` the default for ``task``.

        Raises:
            ModelUnknown: it is not served here; `ModelGone` if it was.
            ModelTaskMismatch: it does something other than ``task``.
        """
        if reference is None:
            default = self.defaults.get(task) if task is not None else None
            if default is None:
                raise errors.ModelUnknown("The request names no model.")
            reference = default
        model = self._named(reference)
        if model is None and reference in self._gone:
            raise errors.ModelGone(f"The model {reference} is not served any more.")
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
