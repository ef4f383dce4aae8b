"""Says that a worker is there, and how it is."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict

from heliograph.core import errors
from heliograph.core.queue import JobSource
from heliograph.core.workers import HEARTBEAT_SECONDS, WorkerInfo, WorkerState
from heliograph.serving.model_table import ServedModel

SOONEST_SECONDS = 0.5
"""Between two heartbeats, however often the state changes."""


class Heart:
    """Beats for one worker: every `HEARTBEAT_SECONDS`, and soon after its state or that of its models has changed.

    Args:
        name: of the worker.
        source: the queue.
        models: what it serves.
        load: how many jobs it holds, and how many it has finished.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        source: JobSource,
        models: Iterable[ServedModel],
        *,
        load: Callable[[], tuple[int, int]],
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._source = source
        self._models = models
        self._load = load
        self._started_at = now()
        self._changed = asyncio.Event()
        self._told: object = None
        self.is_starting = True
        self.is_stopping = False

    @property
    def state(self) -> WorkerState:
        """Where the worker is."""
        if self.is_stopping:
            return WorkerState.STOPPING
        if self.is_starting:
            return WorkerState.STARTING
        return WorkerState.BUSY if self._load()[0] else WorkerState.READY

    def note_change(self) -> None:
        """Something about the worker may be different."""
        if self._gist() != self._told:
            self._changed.set()

    def _gist(self) -> object:
        """What others shall know at once."""
        return self.state, {model.reference: model.state for model in self._models}

    async def beat(self) -> None:
        """Beats until it is cancelled, through failures of the queue."""
        while True:
            self._changed.clear()
            info, self._told = self._info(), self._gist()
            with suppress(errors.CapacityError):
                await self._source.beat(info)
            await asyncio.sleep(SOONEST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._changed.wait()

    def _info(self) -> WorkerInfo:
        holding, finished = self._load()
        return WorkerInfo(
            name=self._name,
            state=self.state,
            host=socket.gethostname(),
            pid=os.getpid(),
            models={model.reference: model.state.value for model in self._models},
            problems={model.reference: model.problem.message for model in self._models if model.problem},
            plans={model.reference: asdict(model.plan) for model in self._models if model.plan},
            holding=holding,
            finished=finished,
            started_at=self._started_at,
        )
