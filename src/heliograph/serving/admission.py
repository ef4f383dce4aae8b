"""How much work may be in flight, and when to come back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.core import errors
from heliograph.core.ports import Clock

RETRY_AFTER_RANGE = (1.0, 30.0)
WAITING_BUDGETS = 2
SMOOTHING = 0.1
"""Weight of the newest answer in the average time between answers."""


class Permit:
    """The right to have one request in flight, and the bytes that it holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held_bytes = 0

    def hold(self, size: int) -> None:
        """Counts ``size`` more bytes of body against the process's bound.

        Raises:
            Overloaded: the bodies in memory would exceed it.
        """
        self._admission.hold_bytes(size)
        self.held_bytes += size


class Admission:
    """Bounds the requests in flight and the bytes of their bodies and answers; refuses at once, never queues."""

    def __init__(self, *, max_in_flight: int, max_body_bytes: int, clock: Clock) -> None:
        self._max_in_flight = max_in_flight
        self._max_bytes = max_body_bytes
        self._clock = clock
        self._in_flight = 0
        self._held_bytes = 0
        self._last_answer: float | None = None
        self._seconds_between_answers = 0.1

    @property
    def in_flight(self) -> int:
        """How many requests hold a permit."""
        return self._in_flight

    @property
    def held_bytes(self) -> int:
        """How many bytes bodies and answers hold."""
        return self._held_bytes

    @contextmanager
    def admit(self) -> Iterator[Permit]:
        """A permit for one request, given back when the context ends.

        Raises:
            Overloaded: as many are in flight as is allowed.
        """
        if self._in_flight >= self._max_in_flight:
            raise errors.Overloaded(
                f"{self._in_flight} requests are in flight, which is the limit.",
                retry_after_seconds=self.retry_after_seconds(),
            )
        if self._in_flight == 0:
            self._last_answer = None  # an idle spell says nothing about how fast answers come
        self._in_flight += 1
        permit = Permit(self)
        try:
            yield permit
        finally:
            self._in_flight -= 1
            self._held_bytes -= permit.held_bytes
            self._note_answer()

    @contextmanager
    def keeping(self, size: int) -> Iterator[None]:
        """Counts the ``size`` bytes of an answer while it is sent.

        It is there already, so it is never refused; requests that come are, while too much is on its way out.
        """
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    def hold_bytes(self, size: int) -> None:
        """Counts ``size`` bytes; see `Permit.hold`."""
        if self._held_bytes + size > self._max_bytes:
            raise errors.Overloaded(
                f"Uploads and answers hold {self._held_bytes:,} of {self._max_bytes:,} bytes.",
                retry_after_seconds=self.retry_after_seconds(),
            )
        self._held_bytes += size

    def retry_after_seconds(self) -> float:
        """When half of what is in flight will be done, at the rate of the latest answers."""
        low, high = RETRY_AFTER_RANGE
        return min(high, max(low, self._in_flight * self._seconds_between_answers / 2))

    def _note_answer(self) -> None:
        now = self._clock()
        if self._last_answer is not None:
            self._seconds_between_answers += SMOOTHING * (
                now - self._last_answer - self._seconds_between_answers
            )
        self._last_answer = now


class PixelBudget:
    """Bounds the pixels that are decoded in memory at the same time, first come, first served.

    `try_take` may be called in any thread, `take` only in the event loop, `give_back` in both.
    A picture larger than the whole budget is let through when it is alone. What waits is bounded too.
    """

    def __init__(self, pixels: int) -> None:
        self._limit = pixels
        self._taken = 0
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, pixels: int) -> bool:
        """Whether ``pixels`` were free, and are now taken."""
        with self._lock:
            if self._waiting or not self._fits(pixels):
                return False
            self._taken += pixels
            return True

    async def take(self, pixels: int) -> None:
        """Waits until ``pixels`` are free and takes them. Cancelled, it takes nothing.

        Raises:
            Overloaded: `WAITING_BUDGETS` times the budget wait already.
        """
        if self.try_take(pixels):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            if sum(waiting for waiting, _ in self._waiting) >= WAITING_BUDGETS * self._limit:
                raise errors.Overloaded("Too many large pictures wait to be decoded.", retry_after_seconds=5)
            self._waiting.append((pixels, turn))
        self._wake()  # something may have been given back in between
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                waits = (pixels, turn) in self._waiting
                if waits:
                    self._waiting.remove((pixels, turn))
            if not waits:
                self.give_back(pixels)
            self._wake()
            raise

    def give_back(self, pixels: int) -> None:
        """Frees what `take` or `try_take` took."""
        with self._lock:
            self._taken -= pixels
        self._wake()

    def _fits(self, pixels: int) -> bool:
        return self._taken == 0 or self._taken + pixels <= self._limit

    def _wake(self) -> None:
        with self._lock:
            while self._waiting and self._fits(self._waiting[0][0]):
                pixels, turn = self._waiting.popleft()
                self._taken += pixels
                turn.get_loop().call_soon_threadsafe(_resolve, turn)


def _resolve(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
