"""The answers of a queue that requests of this process wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.core import errors
from heliograph.core.queue import JobDesk

log = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
RETRY_SECONDS = (0.1, 2.0)


class Replies:
    """Hears which jobs became final and tells whoever waits. One for a process; ``gateway`` is its name."""

    def __init__(self, desk: JobDesk, gateway: str) -> None:
        self.gateway = gateway
        self._desk = desk
        self._waiting: dict[str, asyncio.Event] = {}

    @contextmanager
    def expect(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set once the job is final, as long as the context is open.

        It may come late or not at all if the queue's server fails in between: look at the job now and then.
        """
        self._waiting[job_id] = asyncio.Event()
        try:
            yield self._waiting[job_id]
        finally:
            del self._waiting[job_id]

    async def listen(self) -> None:
        """Listens until it is cancelled, through failures of the queue."""
        pause = RETRY_SECONDS[0]
        while True:
            try:
                finished = await self._desk.finished(self.gateway, wait_seconds=WAIT_SECONDS)
            except errors.QueueUnavailable as error:
                log.warning("answers cannot be heard", extra={"reason": error.message})
                await asyncio.sleep(pause)
                pause = min(RETRY_SECONDS[1], 2 * pause)
                continue
            pause = RETRY_SECONDS[0]
            for job_id in finished:
                if job_id in self._waiting:
                    self._waiting[job_id].set()
