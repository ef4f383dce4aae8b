"""What every queue promises of jobs whose model is not everywhere."""

from __future__ import annotations

import pytest

from heliograph.core.jobs import Priority
from queue_trials import Trial, begun, enqueued, ids_of

pytestmark = pytest.mark.anyio
LEASE = 10.0


@pytest.mark.parametrize("priority", list(Priority))
async def test_what_waits_for_a_model_goes_to_those_that_have_it_and_is_in_nobodys_way(
    trial: Trial, priority: Priority
) -> None:
    waiting = await enqueued(trial, 20, priority=priority)
    await trial.source.hand_back("a", await begun(trial, "a", count=18), lacks_model=True)
    await trial.source.hand_back("a", await trial.source.read("a", count=2), lacks_model=True)
    given, lapsed = await enqueued(trial, 2, priority=priority)
    await trial.source.hand_back("gone", await begun(trial, "gone", count=1))
    await trial.source.read("gone", count=1)
    await trial.later(LEASE + 1)
    for number in range(2):
        found = await trial.source.reclaim(f"b{number}", count=1, models=["other"])
        assert ids_of(found) == [[given, lapsed][number]]
    assert not await trial.source.reclaim("b", count=9, models=["other"])
    assert not await trial.source.reclaim("b", count=9)
    later = await trial.source.reclaim("c", count=15, models=["other", "tried"])
    later = [*later, *await trial.source.reclaim("c", count=15, models=["other", "tried"])]
    assert sorted(ids_of(later)) == sorted(waiting)
    assert [one.attempt for one in await trial.source.start("c", later)] == [1] * 20
