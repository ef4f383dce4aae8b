"""What a server refuses, or does not answer in time, as our errors; why is for the log."""

from __future__ import annotations

import logging
import time
from typing import Any

from redis import exceptions

from heliograph.core import errors
from heliograph.core.ports import Clock

log = logging.getLogger("heliograph.queue")

BROKEN: Any = (exceptions.ConnectionError, RuntimeError)
"""What a broken connection raises: the second comes from uvloop, for what is written after it has noticed. The
client's types know only its own."""
FAILURES: Any = (*BROKEN, exceptions.RedisError, OSError)
"""All that a call may raise. `TimeoutError` is an `OSError`."""
SILENCE_SECONDS = 1.0
"""The least time between two lines of the log: a server that is away fails every call."""


def our_error(error: BaseException) -> errors.CapacityError:
    """What to raise for one of `FAILURES`. Its message tells a client nothing of the server."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return errors.QueueFull("The queue's server has no memory left.", retry_after_seconds=5.0)
    reason = errors.excerpt(error) or "it took too long"
    return errors.QueueUnavailable(f"The queue's server {_failing(error)}.", reason=reason)


def _failing(error: BaseException) -> str:
    if is_refusal(error):
        return "refuses the user or password"
    is_gone = isinstance(error, (*BROKEN, exceptions.TimeoutError, OSError))
    return "does not answer" if is_gone else "refuses"


def is_refusal(error: BaseException | None) -> bool:
    """Whether the server knows us not; its client wraps what it says while it connects."""
    return isinstance(error, exceptions.AuthenticationError) or (
        error is not None and isinstance(error.__cause__, exceptions.AuthenticationError)
    )


class Complaints:
    """Tells the log why calls fail, of many failures the first."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._silent_until = 0.0

    def tell(self, error: errors.CapacityError) -> None:
        """Takes a failure of a call; that a server is full, its client is told."""
        now = self._clock()
        if isinstance(error, errors.QueueUnavailable) and now >= self._silent_until:
            self._silent_until = now + SILENCE_SECONDS
            log.warning(error.message.removesuffix("."), extra={"reason": error.reason})
