"""Whether a worker's queue answers."""

from __future__ import annotations

import logging

from heliograph.core import errors

log = logging.getLogger("heliograph.worker")


class Connection:
    """What the tasks of a worker have seen of its queue."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self.is_up = False
        """Whether the queue answered when it was last asked."""

    def answered(self) -> None:
        """The queue answered."""
        if not self.is_up:
            log.info("queue connected", extra={"worker": self._worker})
        self.is_up = True

    def failed(self, error: errors.CapacityError) -> None:
        """It did not, which is told once; or it refused, or what belongs to it did."""
        if not isinstance(error, errors.QueueUnavailable):
            log.warning(error.title, extra={"worker": self._worker, "reason": error.message})
        elif self.is_up:
            log.warning("queue away", extra={"worker": self._worker, "reason": error.reason or error.message})
            self.is_up = False
