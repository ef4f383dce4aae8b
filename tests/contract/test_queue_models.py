"""What every queue promises of jobs whose model is not everywhere."""

from __future__ import annotations

import pytest

from heliograph.core.jobs import Priority
from queue_trials import MakeTrial, Trial, begun, enqueued, ids_of

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


async def test_what_waits_for_a_model_comes_last_of_all(trial: Trial) -> None:
    waiting = await enqueued(trial, 5, priority=Priority.INTERACTIVE)
    await trial.source.hand_back("a", await begun(trial, "a", count=5), lacks_model=True)
    (given,) = await enqueued(trial, 1, priority=Priority.BULK)
    await trial.source.hand_back("a", await begun(trial, "a", count=1))
    found = await trial.source.reclaim("b", count=3, models=["tried"])
    assert ids_of(found) == [given, *waiting[:2]]


async def test_many_that_wait_for_a_model_do_not_hide_what_was_lost(make_trial: MakeTrial) -> None:
    trial = make_trial()
    await enqueued(trial, 600)
    await trial.source.hand_back("a", await begun(trial, "a", count=600), lacks_model=True)
    lost = await enqueued(trial, 3)
    await trial.source.read("gone", count=3)
    await trial.later(LEASE + 1)
    assert ids_of(await trial.source.reclaim("b", count=9)) == list(lost)
