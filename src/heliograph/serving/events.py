"""The events of the queue, read once by this process and told to all who listen here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from heliograph.core import errors
from heliograph.core.events import EventPage
from heliograph.core.jobs import QueueCounts
from heliograph.core.queue import JobDesk
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.access import Caller
from heliograph.serving.backoff import Backoff
from heliograph.serving.subscriptions import Numbers, Subscription

log = logging.getLogger(__name__)

MAX_STREAMS = 256
PAGE_EVENTS = 1000
WAIT_SECONDS = 2.0
"""How long one look for events waits; so long the reading goes on after the last listener left."""
NUMBERS_SECONDS = 2.0
"""How often those who see all are told the numbers."""
GATHER_SECONDS = 0.05
"""Between looks: what happens meanwhile is read and told together."""
BACKOFF_SECONDS = (0.5, 5.0)
"""Between attempts while the queue does not answer: at first, and at most."""


class EventFeed:
    """Reads events while somebody listens, and offers each of them to every subscription; and the numbers now and then.

    When the queue is back after an outage everybody starts over, so that nothing hangs on what the queue kept of it.
    """

    def __init__(
        self, desk: JobDesk, *, max_streams: int = MAX_STREAMS, clock: Callable[[], float] = time.time
    ) -> None:
        """Reads nothing yet. ``clock`` tells seconds since the epoch."""
        self._desk = desk
        self._clock = clock
        self._max_streams = max_streams
        self._subscriptions: set[Subscription] = set()
        self._reading: asyncio.Task[None] | None = None
        self._counting: asyncio.Task[None] | None = None
        self._looking = asyncio.Lock()
        self._looks_begun = self._looks_done = 0
        self._seen: tuple[QueueCounts, Sequence[WorkerInfo]] | None = None
        self.place = ""
        self.outage: errors.HeliographError | None = None

    @property
    def is_reading(self) -> bool:
        """Whether events are read."""
        return self._reading is not None and not self._reading.done()

    def subscribe(self, caller: Caller, last_event_id: str = "") -> Subscription:
        """A subscription of a caller, who may have heard of events before.

        Raises:
            Overloaded: as many are open as is allowed.
        """
        if len(self._subscriptions) >= self._max_streams:
            raise errors.Overloaded(
                f"{self._max_streams} event streams are open, which is the limit.", retry_after_seconds=10.0
            )
        subscription = Subscription(self, caller, last_event_id)
        self._subscriptions.add(subscription)
        if not self.is_reading:
            self._reading = asyncio.get_running_loop().create_task(self._read())
        if self._counting is None or self._counting.done():
            self._counting = asyncio.get_running_loop().create_task(self._count())
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Gives the place of a subscription free."""
        self._subscriptions.discard(subscription)

    async def snapshot(self) -> tuple[QueueCounts, Sequence[WorkerInfo]] | None:
        """How the queue and its workers stand; None if the queue does not answer, which all are told.

        All who ask while somebody looks share the next look.
        """
        wanted = self._looks_begun + 1
        async with self._looking:
            if self._looks_done < wanted:
                self._looks_begun += 1
                self._seen = await self._look()
                self._looks_done = self._looks_begun
            return self._seen

    async def _look(self) -> tuple[QueueCounts, Sequence[WorkerInfo]] | None:
        try:
            return await self._desk.counts(), await self._desk.workers()
        except errors.HeliographError as error:
            self._lose(error)
            return None

    async def page(self, after: str) -> EventPage | None:
        """What came after an event; None if the queue does not answer, which all are told."""
        try:
            return await self._desk.events(after, limit=PAGE_EVENTS)
        except errors.HeliographError as error:
            self._lose(error)
            return None

    async def close(self) -> None:
        """Ends every subscription, and the reading."""
        for subscription in self._subscriptions:
            subscription.end()
        tasks = [task for task in (self._reading, self._counting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        backoff = Backoff(*BACKOFF_SECONDS)
        try:
            while self._subscriptions:
                if await self._read_once():
                    backoff.reset()
                    await asyncio.sleep(GATHER_SECONDS)
                else:
                    await backoff.pause()
        finally:
            self.place, self.outage = "", None

    async def _count(self) -> None:
        """Offers the numbers to all who may hear them: one look for all, and none while nobody may."""
        while self._subscriptions:
            await asyncio.sleep(NUMBERS_SECONDS)
            if not self.place or not any(each.sees_all for each in self._subscriptions):
                continue
            if (found := await self.snapshot()) is None:
                continue
            counts, workers = found
            by_state = Counter(worker.state for worker in workers)
            numbers = Numbers(
                at=self._clock(), counts=counts, workers={state: by_state[state] for state in WorkerState}
            )
            for subscription in self._subscriptions:
                if subscription.sees_all:
                    subscription.offer_numbers(numbers)

    async def _read_once(self) -> bool:
        """Reads a page and offers it; False if the queue does not answer."""
        after = self.place
        try:
            page = await self._desk.events(
                after, limit=PAGE_EVENTS, wait_seconds=WAIT_SECONDS if after else 0.0
            )
        except errors.HeliographError as error:
            self._lose(error)
            return False
        except Exception:
            log.exception("This is a bug.")
            self._lose(errors.HeliographError())
            return False
        if after != self.place:  # it was lost in the meantime, by somebody else's look
            return False
        self._offer(page)
        return True

    def _offer(self, page: EventPage) -> None:
        starts_over = self.outage is not None or not page.is_complete
        is_new = not self.place
        self.place, self.outage = page.last_id, None
        for subscription in self._subscriptions:
            if starts_over:
                subscription.start_over()
                continue
            if is_new:
                subscription.look()
            for event in page.events:
                subscription.offer(event)

    def _lose(self, problem: errors.HeliographError) -> None:
        """Tells all that the queue does not answer."""
        if self.outage is None:
            log.warning("events cannot be read", extra={"problem": problem.message})
        self.place, self.outage = "", problem
        for subscription in self._subscriptions:
            subscription.look()
