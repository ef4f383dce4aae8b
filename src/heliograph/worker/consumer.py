"""Takes jobs from a queue and has them done.

Three tasks: the consumer's own reads and begins jobs as long as there is room; one renews leases, and ends the work on
a job whose lease is lost; one (`outcomes`) stores what came out. A job that was begun before, so that its worker was
lost or it failed, runs alone, so that a picture that kills workers takes nothing with it; between two such jobs
others get a turn.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from heliograph.core import errors
from heliograph.core.jobs import Assignment, Delivery, JobProblem, JobResult, Outcome, Priority, Verdict
from heliograph.core.ports import Clock
from heliograph.core.queue import JobSource
from heliograph.serving.backoff import Backoff
from heliograph.worker.connection import Connection
from heliograph.worker.holding import Capacity, Holding
from heliograph.worker.outcomes import OutcomeBox

log = logging.getLogger("heliograph.worker")

Perform: TypeAlias = Callable[[Assignment], Awaitable[JobResult]]
"""Does a job; raises Heliograph's errors."""

AT_FAULT = (errors.PictureError, errors.RequestError, errors.ModelTaskMismatch, errors.ModelGone)
"""The input is at fault: the same bytes will never succeed. So it is if somebody took the model out of the store."""
NOT_HERE = (errors.CapacityError, errors.ModelError)
"""Nothing was tried: there is no room, or the model is not here. The job goes back, for want of its model to those
alone that have it, and the attempt does not count; any other error counts it."""
WAIT_SECONDS = 5.0
RECLAIMS_AT_ONCE = 16
BULK_FIRST_EVERY = 8
TIMER_SECONDS = 0.001
"""How early a timer may fire."""
CHANCE = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRules:
    """How a worker treats its queue; all in seconds but the counts.

    ``reclaim_seconds`` is between looks for jobs whose worker was lost, on average; ``finish_seconds`` is what jobs in
    hand have to end once it stops, ``goodbye_seconds`` what the last calls have.
    """

    max_held: int = 64
    min_held: int = 2
    held_seconds: float = 0.5
    renew_seconds: float = 3.0
    reclaim_seconds: float = 2.0
    finish_seconds: float = 10.0
    goodbye_seconds: float = 5.0


class Consumer:
    """One worker's way with a queue.

    Args:
        name: of the worker; never used before.
        source: the queue.
        perform: does a job.
        rules: numbers.
        clock: monotonic.
        models: the names of the models that it can work with now.
        on_change: called when it holds more or fewer jobs.
    """

    def __init__(
        self,
        name: str,
        source: JobSource,
        perform: Perform,
        *,
        rules: ConsumerRules,
        clock: Clock,
        models: Callable[[], Collection[str]],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._source = source
        self._perform = perform
        self._rules = rules
        self._clock = clock
        self._models = models
        self._holding = Holding(clock, on_change)
        self._capacity = Capacity(seconds=rules.held_seconds, low=rules.min_held, high=rules.max_held)
        self._connection = Connection(name)
        self._outcomes = OutcomeBox(name, source, self._connection, self._settle, clock=clock)
        self._reads = 0
        self._next_reclaim = self._rest_until = 0.0
        self._unbegun: Sequence[Delivery] = ()
        """Read, though the queue has not said yet whether they are this worker's to begin."""
        self._returned: frozenset[str] = frozenset()
        """The jobs of the latest reclaim: handed back, they come with the next one again."""
        self._alone_next = True
        self._stopping = False
        self._reading: asyncio.Future[Sequence[Delivery]] | None = None
        self.finished = 0
        """How many jobs have come to their end here."""

    @property
    def holding(self) -> int:
        """How many jobs it has in hand."""
        return len(self._holding)

    @property
    def is_connected(self) -> bool:
        """Whether the queue answered when it was last asked."""
        return self._connection.is_up

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set; then finishes what it has in hand, or gives it back."""
        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(self._feed())
            others = [tasks.create_task(self._keep_leases()), tasks.create_task(self._outcomes.store())]
            await stop.wait()
            await self._stop_feeding(feeding)
            await self._drain()
            for task in others:
                task.cancel()

    async def _feed(self) -> None:
        backoff = Backoff()
        while not self._stopping:
            try:
                await self._feed_once()
            except errors.CapacityError as error:
                self._connection.failed(error)
                await backoff.pause()
            else:
                backoff.reset()

    async def _feed_once(self) -> None:
        if self._unbegun:
            await self._begin(self._unbegun)
            return
        aside = self._holding.aside
        if aside and self._alone_next:
            await self._do_alone(aside[0])
            return
        self._alone_next = True
        if (rest := self._rest_until - self._clock()) > TIMER_SECONDS:
            await self._holding.fewer(rest)
            return
        room = self._capacity.jobs - len(self._holding.begun)
        if room <= 0:
            await self._holding.fewer(WAIT_SECONDS)
        elif not aside and self._clock() >= self._next_reclaim:
            await self._begin(await self._reclaim(min(room, RECLAIMS_AT_ONCE)))
        else:
            await self._begin(await self._read(room, may_wait=not aside))

    async def _reclaim(self, count: int) -> Sequence[Delivery]:
        """Jobs that nobody has any more and nobody has begun; those that were begun before are put aside."""
        found = await self._source.reclaim(self._name, count=count, models=self._models())
        self._connection.answered()
        if len(found) < count:
            self._next_reclaim = self._clock() + self._rules.reclaim_seconds * CHANCE.uniform(0.5, 1.5)
        self._returned = frozenset(one.job_id for one in found)
        self._holding.put_aside([one for one in found if one.attempts > 0])
        return [one for one in found if one.attempts == 0]

    async def _read(self, room: int, *, may_wait: bool) -> Sequence[Delivery]:
        self._reads += 1
        prefer = Priority.BULK if self._reads % BULK_FIRST_EVERY == 0 else Priority.INTERACTIVE
        wait = min(WAIT_SECONDS, max(0.01, self._next_reclaim - self._clock())) if may_wait else 0.0
        self._reading = asyncio.ensure_future(
            self._source.read(self._name, count=room, prefer=prefer, wait_seconds=wait)
        )
        try:
            found = await self._reading
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return ()  # what it may have brought is given up at the end, with the worker's name
        finally:
            self._reading = None
        self._connection.answered()
        return found

    async def _begin(self, deliveries: Sequence[Delivery]) -> None:
        """Begins with jobs; if the queue does not answer, they are the first to be begun once it does."""
        self._unbegun = deliveries
        await self._start(deliveries)
        self._unbegun = ()

    async def _start(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        for assignment in await self._source.start(self._name, deliveries):
            task = asyncio.get_running_loop().create_task(self._work(assignment))
            self._holding.begin(assignment, task)

    async def _do_alone(self, delivery: Delivery) -> None:
        """Does a job that was put aside, with nothing else begun."""
        await self._until_nothing_is_begun()
        self._alone_next = False
        if delivery in self._holding.aside and not self._stopping:  # else its lease was lost meanwhile
            await self._start([delivery])
            self._holding.drop(delivery)
            await self._until_nothing_is_begun()

    async def _until_nothing_is_begun(self) -> None:
        while self._holding.begun and not self._stopping:
            await self._holding.fewer(WAIT_SECONDS)

    async def _work(self, assignment: Assignment) -> None:
        together = len(self._holding.begun)
        answer: JobResult | JobProblem
        try:
            answer = await self._perform(assignment)
        except AT_FAULT as error:
            answer = JobProblem(code=error.code, message=error.message)
        except Exception as error:
            await self._give_up(assignment, error)
            return
        seconds = self._holding.seconds_of(assignment)
        if seconds is not None:
            self._capacity.note(seconds, together)
            self._outcomes.put(Outcome(assignment=assignment, answer=answer))

    async def _give_up(self, assignment: Assignment, error: Exception) -> None:
        """The attempt came to nothing; it is counted unless nothing was tried. Without the queue, the lease ends it."""
        try:
            if isinstance(error, NOT_HERE):
                await self._hand_back(assignment, error)
            else:
                await self._source.retry(self._name, assignment, self._problem(assignment, error))
        except errors.CapacityError as failure:
            self._connection.failed(failure)
        except Exception:
            log.exception("This is a bug.", extra=_facts(assignment))
        finally:
            self._holding.drop(assignment)

    async def _hand_back(self, assignment: Assignment, error: errors.HeliographError) -> None:
        log.warning("job handed back", extra={**_facts(assignment), "reason": error.message})
        lacks_model = isinstance(error, errors.ModelError)
        later = self._clock() + self._rules.reclaim_seconds
        # Others first: it would only come back, at once and again and again.
        if not lacks_model:
            self._rest_until = self._next_reclaim = later
        elif assignment.delivery.job_id in self._returned:
            self._next_reclaim = later
        await self._source.hand_back(self._name, [assignment], lacks_model=lacks_model)

    def _problem(self, assignment: Assignment, error: Exception) -> JobProblem:
        facts = _facts(assignment)
        if isinstance(error, errors.HeliographError):
            log.warning("attempt failed", extra={**facts, "code": error.code, "reason": error.message})
            return JobProblem(code=error.code, message=error.message)
        log.error("This is a bug.", extra=facts, exc_info=error)
        return JobProblem(code=errors.HeliographError.code, message=errors.HeliographError.title)

    def _settle(self, outcome: Outcome, is_stored: bool) -> None:
        assignment = outcome.assignment
        ms = round(1000 * (self._holding.seconds_of(assignment) or 0.0), 1)
        facts = {**_facts(assignment), "model": assignment.model, "ms": ms}
        if not is_stored:
            log.warning("job dropped", extra={**facts, "reason": "lost or cancelled"})
        else:
            self.finished += 1
            failed = isinstance(outcome.answer, JobProblem)
            log.info("job failed" if failed else "job done", extra=facts)
        self._holding.drop(assignment)

    async def _keep_leases(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._renew()
            except errors.CapacityError as error:
                self._connection.failed(error)
                await backoff.pause()
            else:
                backoff.reset()
                await asyncio.sleep(self._rules.renew_seconds)

    async def _renew(self) -> None:
        """Renews all leases; what is not this worker's any more is dropped."""
        held = list(self._holding)
        verdicts = await self._source.renew(self._name, held)
        for one, verdict in zip(held, verdicts, strict=True):
            if verdict is not Verdict.MINE and one in self._holding and not self._outcomes.has(one):
                log.warning("job dropped", extra={**_facts(one), "reason": verdict.value})
                self._holding.drop(one)

    async def _stop_feeding(self, feeding: asyncio.Task[None]) -> None:
        self._stopping = True
        self._holding.wake()
        if self._reading is not None:
            self._reading.cancel()
        await asyncio.wait({feeding}, timeout=self._rules.goodbye_seconds)
        feeding.cancel()

    async def _drain(self) -> None:
        """Finishes what is begun while there is time, and gives back the rest."""
        aside = self._holding.aside
        self._holding.drop(*aside)
        await self._say_goodbye(self._source.hand_back(self._name, aside))
        deadline = self._clock() + self._rules.finish_seconds
        while self._holding.begun and self._clock() < deadline:
            await self._holding.fewer(deadline - self._clock())
        unfinished = self._holding.begun
        self._holding.drop(*unfinished)
        await self._say_goodbye(self._source.hand_back(self._name, unfinished))

    async def leave(self) -> None:
        """Takes the worker's name from the queue, and with it whatever a last read may have brought."""
        await self._say_goodbye(self._source.release(self._name))

    async def _say_goodbye(self, call: Awaitable[object]) -> None:
        with suppress(TimeoutError, errors.CapacityError):
            async with asyncio.timeout(self._rules.goodbye_seconds):
                await call


def _facts(one: Delivery | Assignment) -> dict[str, object]:
    """A job for the log."""
    if isinstance(one, Delivery):
        return {"job": one.job_id}
    return {"job": one.delivery.job_id, "attempt": one.attempt}
