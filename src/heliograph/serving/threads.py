"""Threads for blocking work, with one hop there and one hop back.

``loop.run_in_executor`` costs 35 µs of CPU a call (two futures, a condition, a chain of callbacks); this costs
7 µs, twice for every picture. It also says what becomes of work that nobody waits for any more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_SECONDS = 10.0
"""How long the end of all threads of a pool is waited for; one may hang in a decoder or a network folder."""


@dataclass(slots=True, eq=False)
class _Work(Generic[T]):
    """One piece of work, the future of whoever waits for it, and how to clean up after it."""

    call: Callable[[], T] | None
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop
    undo: Callable[[T], None] | None
    not_started: Callable[[], None] | None

    def run(self) -> None:
        """In a thread: does the work, unless nobody waits, and sends its outcome to the event loop."""
        call, self.call = self.call, None
        if call is None or self.future.cancelled():
            self.skip()
            return
        try:
            result = call()
        except BaseException as error:
            self._send(partial(self._fail, error))
        else:
            if not self._send(partial(self._succeed, result)):
                self.clean_up(result)

    def skip(self) -> None:
        """Nobody waits and nothing was begun."""
        if self.not_started is not None:
            self.not_started()

    def clean_up(self, result: T) -> None:
        """Nobody receives the result."""
        if self.undo is not None:
            self.undo(result)

    def _send(self, deliver: Callable[[], None]) -> bool:
        try:
            self.loop.call_soon_threadsafe(deliver)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _succeed(self, result: T) -> None:
        if self.future.done():
            self.clean_up(result)
        else:
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class WorkerThreads:
    """So many threads that take work in the order in which it came. The queue is bounded by admission."""

    def __init__(self, count: int, *, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._take_work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    async def run(
        self,
        call: Callable[[], T],
        *,
        undo: Callable[[T], None] | None = None,
        not_started: Callable[[], None] | None = None,
    ) -> T:
        """What ``call`` returns or raises, called in a thread.

        Cancelled before a thread took it, it does not start and ``not_started`` is called. Cancelled later it goes
        on to its end, and ``undo`` is called with its result. Both are called in whatever thread notices.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = _Work(call, future, loop, undo, not_started)
        self._queue.put(work.run)
        try:
            return await future
        except asyncio.CancelledError:
            work.call = None  # what it holds, an upload perhaps, is not kept until a thread comes to it
            if future.done() and not future.cancelled() and future.exception() is None and undo is not None:
                undo(future.result())  # it was delivered at the moment of the cancellation
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets the threads finish what was handed in, and ends them; leaves behind one that hangs."""
        for _ in self._threads:
            self._queue.put(None)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if hanging := sum(thread.is_alive() for thread in self._threads):
            log.warning("threads do not end", extra={"pool": self._name, "threads": hanging})

    def _take_work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
