"""Tokens of starts, by which a call that was not answered is the same call when it comes again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from heliograph.core.jobs import Delivery

MOST_UNANSWERED = 10_000


class StartTokens:
    """Makes the token of each start.

    A delivery says how often its job was begun before. So when a start was heard and not answered, and its worker gets
    the job again, because its lease ran out or it was given back, the delivery is another one, and so is the token.
    """

    def __init__(self) -> None:
        self._unanswered: dict[tuple[str, Delivery], str] = {}

    @contextmanager
    def of(self, worker: str, deliveries: Sequence[Delivery]) -> Iterator[Sequence[str]]:
        """A token for each; if the block fails, the same ones the next time."""
        starts = [(worker, delivery) for delivery in deliveries]
        tokens = [self._unanswered.pop(start, "") or secrets.token_hex(8) for start in starts]
        try:
            yield tokens
        except BaseException:  # also a call that was cancelled has no answer
            self._unanswered |= zip(starts, tokens, strict=True)
            while len(self._unanswered) > MOST_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]
            raise
