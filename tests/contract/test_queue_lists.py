"""What every queue promises of the lists of jobs in one state."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from heliograph.adapters.queue import places
from heliograph.core import errors
from heliograph.core.jobs import JobState, Outcome
from queue_trials import FAILED, RESULT, RedisTrial, Trial, begun, dead_job, enqueued, new_group, one_begun

pytestmark = pytest.mark.anyio
HOUR = 3600.0
EVERYBODY = None


async def listed(
    trial: Trial, owner: str | None, state: JobState, *, limit: int = 100
) -> Sequence[Sequence[str]]:
    """The ids of all pages of a list."""
    pages: list[list[str]] = []
    cursor = ""
    while True:
        page = await trial.desk.jobs(owner, state=state, cursor=cursor, limit=limit)
        assert {job.state for job in page.jobs} <= {state}
        assert len(page.jobs) <= limit
        pages.append([job.id for job in page.jobs])
        cursor = page.next_cursor
        if not cursor:
            return pages


def flat(pages: Sequence[Sequence[str]]) -> list[str]:
    return [job_id for page in pages for job_id in page]


async def everything(trial: Trial, owner: str | None = EVERYBODY) -> dict[JobState, list[str]]:
    """The ids in each state of which there are jobs."""
    found = {state: flat(await listed(trial, owner, state)) for state in JobState}
    return {state: ids for state, ids in found.items() if ids}


async def test_each_state_has_its_jobs_newest_first(trial: Trial) -> None:
    dead = await dead_job(trial, owner="ann")
    done, failed, running = [(await one_begun(trial, owner="ann")) for _ in range(3)]
    outcomes = [Outcome(assignment=done, answer=RESULT), Outcome(assignment=failed, answer=FAILED)]
    await trial.source.finish("worker", outcomes)
    (cancelled,) = await enqueued(trial, owner="bob")
    await trial.desk.cancel(cancelled)
    older, newer = await enqueued(trial, 2, owner="bob")
    expected = {
        JobState.QUEUED: [newer, older],
        JobState.RUNNING: [running.delivery.job_id],
        JobState.DONE: [done.delivery.job_id],
        JobState.FAILED: [failed.delivery.job_id],
        JobState.DEAD: [dead],
        JobState.CANCELLED: [cancelled],
    }
    bobs = {JobState.QUEUED, JobState.CANCELLED}
    assert await everything(trial) == expected
    assert await everything(trial, "bob") == {state: expected[state] for state in bobs}
    assert await everything(trial, "ann") == {
        state: ids for state, ids in expected.items() if state not in bobs
    }
    assert await everything(trial, "nobody") == {}


async def test_who_needs_no_key_has_lists_too(trial: Trial) -> None:
    """Its owner has no name; that is not everybody."""
    mine = await dead_job(trial, owner="")
    theirs = await dead_job(trial, owner="ann")
    assert await everything(trial, "") == {JobState.DEAD: [mine]}
    assert await everything(trial) == {JobState.DEAD: [theirs, mine]}


async def test_a_job_leaves_its_list_with_its_state(trial: Trial) -> None:
    first, second, third = [await dead_job(trial) for _ in range(3)]
    await trial.desk.requeue(first)
    assert await everything(trial) == {JobState.QUEUED: [first], JobState.DEAD: [third, second]}
    (again,) = await begun(trial)
    await trial.source.finish("worker", [Outcome(assignment=again, answer=RESULT)])
    await trial.desk.acknowledge(second)
    assert await everything(trial) == {JobState.DONE: [first], JobState.DEAD: [third]}
    await trial.desk.forget([first])
    assert await everything(trial) == {JobState.DEAD: [third]}
    await trial.later(2 * HOUR)
    await trial.desk.expire()
    assert await everything(trial) == {}


async def test_one_that_dies_again_is_there_once_in_its_place(trial: Trial) -> None:
    first, second = [await dead_job(trial) for _ in range(2)]
    await trial.desk.requeue(first)
    (assignment,) = await begun(trial, "a")
    while await trial.source.retry("a", assignment, FAILED):
        taken = await trial.source.reclaim("a", count=1)
        if not taken:
            break
        (assignment,) = await trial.source.start("a", taken)
    assert await everything(trial) == {JobState.DEAD: [second, first]}


async def test_lists_are_paged(trial: Trial) -> None:
    dead = [await dead_job(trial) for _ in range(5)][::-1]
    waiting = [job_id for _ in range(5) for job_id in await enqueued(trial)][::-1]
    for state, ids in ((JobState.DEAD, dead), (JobState.QUEUED, waiting)):
        first, second, third, *rest = await listed(trial, "me", state, limit=2)
        assert [first, second, third] == [ids[:2], ids[2:4], ids[4:]]
        assert not any(rest)
    page = await trial.desk.jobs("me", state=JobState.DEAD, limit=2)
    await trial.desk.acknowledge(page.jobs[-1].id)  # what goes meanwhile moves no page
    page = await trial.desk.jobs("me", state=JobState.DEAD, cursor=page.next_cursor, limit=2)
    assert [job.id for job in page.jobs] == dead[2:4]


async def test_a_page_looks_at_so_many_jobs_and_says_where_to_go_on(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "LOOKED_AT", 4)
    running = (await one_begun(trial)).delivery.job_id
    waiting = await enqueued(trial, 10)
    pages = await listed(trial, EVERYBODY, JobState.RUNNING, limit=3)
    assert [page for page in pages if page] == [[running]]
    assert len(pages) >= 11 / 4
    pages = await listed(trial, EVERYBODY, JobState.QUEUED, limit=3)
    assert flat(pages) == list(reversed(waiting))
    assert not (await trial.desk.jobs("me", state=JobState.DONE, limit=3)).jobs


async def test_dead_ones_are_found_at_once_among_many_on_a_server(
    server_trial: RedisTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await dead_job(server_trial)
    for _ in range(3):
        await server_trial.desk.enqueue(new_group(50))
    monkeypatch.setattr(places, "LOOKED_AT", 1)
    for owner in ("me", EVERYBODY):
        page = await server_trial.desk.jobs(owner, state=JobState.DEAD, limit=1)
        assert [job.id for job in page.jobs] == [dead]


@pytest.mark.parametrize("cursor", ["x", "-1", "(1", "9" * 400])
async def test_it_refuses_a_cursor_that_is_none(trial: Trial, cursor: str) -> None:
    for state in (JobState.DEAD, JobState.QUEUED):
        with pytest.raises(errors.ParameterInvalid):
            await trial.desk.jobs("me", state=state, cursor=cursor)


async def test_a_cursor_behind_the_end_has_nothing(trial: Trial) -> None:
    (job_id,) = await enqueued(trial)
    for cursor, expected in (("0", []), ("1", []), ("999999999999999", [job_id])):
        page = await trial.desk.jobs(EVERYBODY, state=JobState.QUEUED, cursor=cursor)
        assert ([job.id for job in page.jobs], page.next_cursor) == (expected, "")
