"""Stores the outcomes of jobs, all that are there in one call, until the queue has them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from heliograph.core import errors
from heliograph.core.jobs import Assignment, Delivery, Outcome
from heliograph.core.ports import Clock
from heliograph.core.queue import JobSource
from heliograph.serving.backoff import Backoff
from heliograph.worker.connection import Connection

AT_ONCE = 100
PATIENCE_SECONDS = 300.0
"""How long an outcome is offered; then its job is let go of, for another attempt."""


class OutcomeBox:
    """Outcomes on their way to the queue. Bounded by what a worker holds.

    ``on_stored`` hears of each, and whether the queue took it; it does not take that of a job which is cancelled or
    another worker's by now. After a failure outcomes are offered one by one, so that none holds up the others.
    """

    def __init__(
        self,
        worker: str,
        source: JobSource,
        connection: Connection,
        on_stored: Callable[[Outcome, bool], None],
        *,
        clock: Clock,
    ) -> None:
        self._worker = worker
        self._source = source
        self._connection = connection
        self._on_stored = on_stored
        self._clock = clock
        self._outcomes: deque[tuple[Outcome, float]] = deque()
        self._filled = asyncio.Event()

    def put(self, outcome: Outcome) -> None:
        """Takes an outcome."""
        self._outcomes.append((outcome, self._clock()))
        self._filled.set()

    def has(self, one: Delivery | Assignment) -> bool:
        """Whether the outcome of this job is on its way: the queue will say itself what it thinks of it."""
        return any(outcome.assignment is one for outcome, _ in self._outcomes)

    async def store(self) -> None:
        """Stores what comes until it is cancelled, through failures of the queue."""
        backoff, at_once = Backoff(), AT_ONCE
        while True:
            if not self._outcomes:
                self._filled.clear()
                await self._filled.wait()
            part = [outcome for outcome, _ in islice(self._outcomes, at_once)]
            try:
                stored = await self._source.finish(self._worker, part)
            except errors.CapacityError as error:
                self._connection.failed(error)
                at_once = 1
                self._put_back_first()
                await backoff.pause()
                continue
            backoff.reset()
            at_once = AT_ONCE
            for outcome, is_stored in zip(part, stored, strict=True):
                self._outcomes.popleft()
                self._on_stored(outcome, is_stored)

    def _put_back_first(self) -> None:
        """Lets the others come before the one that was just offered, or gives that up."""
        outcome, since = self._outcomes.popleft()
        if self._clock() - since > PATIENCE_SECONDS:
            self._on_stored(outcome, False)
        else:
            self._outcomes.append((outcome, since))
