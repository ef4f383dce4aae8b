"""The answers of a queue that requests of this process wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from heliograph.core import errors
from heliograph.core.jobs import FinishedJob, JobResult
from heliograph.core.queue import JobDesk
from heliograph.serving.backoff import Backoff

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0


class Expectation:
    """One job whose end somebody waits for."""

    def __init__(self) -> None:
        self._finished = asyncio.Event()
        self.result: JobResult | None = None
        """What it answered, where that came along."""

    @property
    def is_over(self) -> bool:
        """Whether the job is known to be final."""
        return self._finished.is_set()

    def settle(self, finished: FinishedJob) -> None:
        """The job is final."""
        self.result = finished.result
        self._finished.set()

    async def wait(self, seconds: float) -> None:
        """Returns once the job is final, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._finished.wait()


class Replies:
    """Hears which jobs became final and tells whoever waits. One for a process; ``gateway`` is its name."""

    def __init__(self, desk: JobDesk, gateway: str) -> None:
        self.gateway = gateway
        self._desk = desk
        self._expected: dict[str, Expectation] = {}

    @contextmanager
    def expect(self, job_id: str) -> Iterator[Expectation]:
        """Settled once the job is final, as long as the context is open.

        That may be late or never if the queue's server fails in between: look at the job now and then.
        """
        self._expected[job_id] = Expectation()
        try:
            yield self._expected[job_id]
        finally:
            del self._expected[job_id]

    async def listen(self) -> None:
        """Listens until it is cancelled, through failures of the queue."""
        backoff, is_away = Backoff(), False
        while True:
            try:
                finished = await self._desk.finished(self.gateway, wait_seconds=WAIT_SECONDS)
            except errors.CapacityError as error:
                if not is_away:
                    log.warning("queue away", extra={"reason": error.message})
                is_away = True
                await backoff.pause()
                continue
            if is_away:
                log.warning("queue back")
            backoff.reset()
            is_away = False
            for one in finished:
                if one.job_id in self._expected:
                    self._expected[one.job_id].settle(one)
