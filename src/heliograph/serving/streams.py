"""The threads in which an engine runs batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.core.ports import Clock, Engine
from heliograph.serving.batcher import Entry, Outcome, Reply
from heliograph.serving.threads import WorkerThreads

log = logging.getLogger(__name__)


class EngineStreams:
    """Runs batches of one engine, as many at once as it has streams; a `RunBatch`.

    ``on_batch`` is called in the engine's thread with the batch's size and its seconds.
    """

    def __init__(
        self, engine: Engine, *, streams: int, clock: Clock, on_batch: Callable[[int, float], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_batch = on_batch
        self._threads = WorkerThreads(streams, name=f"{engine.name}-stream")

    async def __call__(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """One outcome an entry; see `heliograph.serving.batcher.RunBatch`."""
        return await self._threads.run(lambda: self._run(entries))

    def close(self) -> None:
        """Waits for the batches that run, then frees the engine."""
        self._threads.close()
        self._engine.close()

    def _run(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        started = self._clock()
        outcomes: list[Outcome] = [None] * len(entries)
        alive = [i for i, e in enumerate(entries) if not e.future.done() and e.deadline > started]
        if not alive:
            return outcomes
        for i in alive:
            entries[i].started = True
        rows = self._run_together([entries[i].tensor for i in alive])
        seconds = self._clock() - started
        self._on_batch(len(alive), seconds)
        for i, row in zip(alive, rows, strict=True):
            outcomes[i] = (
                row
                if isinstance(row, errors.HeliographError)
                else Reply(row, started - entries[i].enqueued_at, seconds)
            )
        return outcomes

    def _run_together(
        self, tensors: Sequence[Float32Array]
    ) -> Sequence[Float32Array | errors.HeliographError]:
        """A row each; if the batch fails, its members run alone and each gets its own error."""
        try:
            return list(self._engine.run(np.stack(tensors)))
        except Exception as error:
            if len(tensors) == 1:
                log.error("engine failed", extra={"engine": self._engine.name}, exc_info=error)
                return [_engine_error(error)]
        return [self._run_together([tensor])[0] for tensor in tensors]


def _engine_error(error: Exception) -> errors.HeliographError:
    if isinstance(error, errors.HeliographError):
        return error
    return errors.EngineFailed(f"{type(error).__name__}: {errors.excerpt(error)}")
