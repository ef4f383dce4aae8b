"""How long jobs took: right to five percent, in bounded room, and of the last minute alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.durations import (
    ACCURACY,
    LAST_BIN,
    SPAN_SECONDS,
    SPANS_BEFORE,
    RecentDurations,
    bin_of,
    quantile,
)

A_MILLISECOND = 0.001


@settings(max_examples=300, deadline=None)
@given(
    seconds=st.lists(st.floats(A_MILLISECOND, 1e9), min_size=1, max_size=200),
    share=st.sampled_from([0.01, 0.5, 0.95, 1.0]),
)
def test_a_quantile_is_right_to_its_accuracy(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    told = quantile(Counter(map(bin_of, seconds)), share)
    assert told is not None
    assert told == pytest.approx(exact, rel=ACCURACY * 1.0001)


@pytest.mark.parametrize("seconds", [0.0, -1.0, -1e9, 0.0005, A_MILLISECOND])
def test_what_took_no_time_took_a_millisecond_at_most(seconds: float) -> None:
    """Also where clocks have gone back."""
    told = quantile({bin_of(seconds): 1}, 0.95)
    assert told is not None
    assert 0.0 < told <= A_MILLISECOND


def test_there_are_so_many_bins() -> None:
    assert bin_of(1e30) == bin_of(1e300) == LAST_BIN
    assert bin_of(3600.0 * 24 * 365) < LAST_BIN


def test_no_jobs_have_no_quantile() -> None:
    assert quantile({}, 0.95) is None
    assert quantile({3: 0}, 0.95) is None


def test_the_last_minute_counts() -> None:
    now = 1e9
    durations = RecentDurations(lambda: now)
    durations.add(100.0)
    now += SPAN_SECONDS
    durations.add(1.0)
    assert durations.counts() == {bin_of(100.0): 1, bin_of(1.0): 1}
    now += SPANS_BEFORE * SPAN_SECONDS
    assert durations.counts() == {bin_of(1.0): 1}
    now += SPAN_SECONDS
    assert durations.counts() == {}


def test_a_year_of_jobs_takes_no_more_room_than_a_minute() -> None:
    now = 1e9
    durations = RecentDurations(lambda: now)
    for _ in range(1000):
        durations.add(1.0)
        now += 0.9 * SPAN_SECONDS
    assert len(durations._spans) <= SPANS_BEFORE + 1
