"""When a full queue will have room, told from how fast it empties."""

from __future__ import annotations

import pytest

from heliograph.core.drain import MAX_SECONDS, MIN_SECONDS, UNKNOWN_SECONDS, DrainRate


class Watch:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def rate_of(*totals: tuple[float, int]) -> DrainRate:
    """What is known after totals at times."""
    watch = Watch()
    drain = DrainRate(watch)
    for seconds, settled in totals:
        watch.now = 1000.0 + seconds
        drain.observe(settled)
    return drain


def test_of_ten_jobs_a_second_a_hundred_take_ten() -> None:
    assert rate_of((0, 500), (5, 540), (10, 600)).seconds_until(100) == pytest.approx(10.0)


def test_the_newest_window_counts() -> None:
    drain = rate_of((0, 0), (10, 1000), (20, 1020))
    assert drain.seconds_until(20) == pytest.approx(10.0)


@pytest.mark.parametrize(("jobs", "expected"), [(1, MIN_SECONDS), (0, MIN_SECONDS), (10**6, MAX_SECONDS)])
def test_nobody_waits_for_ever_or_not_at_all(jobs: int, expected: float) -> None:
    assert rate_of((0, 0), (10, 100)).seconds_until(jobs) == expected


def test_a_queue_that_does_not_move_may_be_long() -> None:
    assert rate_of((0, 7), (12, 7)).seconds_until(1) == MAX_SECONDS


def test_a_requeued_job_is_no_negative_rate() -> None:
    assert rate_of((0, 7), (12, 6)).seconds_until(1) == MAX_SECONDS


@pytest.mark.parametrize("totals", [(), ((0, 5),), ((0, 5), (9, 50)), ((0, 5), (3600, 5))])
def test_what_is_not_known_is_not_made_up(totals: tuple[tuple[float, int], ...]) -> None:
    assert rate_of(*totals).seconds_until(100) == UNKNOWN_SECONDS
