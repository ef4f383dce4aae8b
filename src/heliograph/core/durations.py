"""How long jobs took that ended lately: counted in bins, so that any number of them takes the same room.

The bins are those of DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", VLDB 2019): each is as wide as a share of what it holds. So a quantile is right to
`ACCURACY`, and what several processes counted is added up without any loss. Counts are kept by spans of time, of which
the old ones are dropped.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping

from heliograph.core.ports import Clock

ACCURACY = 0.05
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LAST_BIN = 300
"""Of 300 years; what is said to take longer counts as that."""
SPAN_SECONDS = 10
SPANS_BEFORE = 6
"""How many spans count before the one that is now: a minute, and what has passed of the next ten seconds."""


def bin_of(seconds: float) -> int:
    """The bin of a duration: 0 up to a millisecond, then each `GAMMA` times as long as the one before."""
    milliseconds = 1000 * seconds
    return min(LAST_BIN, math.ceil(math.log(milliseconds) / math.log(GAMMA))) if milliseconds > 1 else 0


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The seconds that this share of the jobs took at most, right to `ACCURACY`; None of no jobs."""
    total, passed = sum(counts.values()), 0
    for place in sorted(counts):
        passed += counts[place]
        if passed >= share * total > 0:
            return 2 * GAMMA**place / (GAMMA + 1) / 1000
    return None


class RecentDurations:
    """Counts in the memory of one process. ``clock`` tells seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spans: deque[tuple[int, Counter[int]]] = deque()

    def add(self, seconds: float) -> None:
        """Takes note of a job that ended now and took so long."""
        now = self._drop_old()
        if not self._spans or self._spans[-1][0] != now:
            self._spans.append((now, Counter()))
        self._spans[-1][1][bin_of(seconds)] += 1

    def counts(self) -> Mapping[int, int]:
        """How many jobs of the last minute are in each bin."""
        self._drop_old()
        total: Counter[int] = Counter()
        for _, counts in self._spans:
            total.update(counts)
        return total

    def _drop_old(self) -> int:
        """The span that is now, once those are gone that do not count any more."""
        now = int(self._clock() // SPAN_SECONDS)
        while self._spans and self._spans[0][0] < now - SPANS_BEFORE:
            self._spans.popleft()
        return now
