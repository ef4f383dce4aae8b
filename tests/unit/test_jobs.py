"""The table of a job's states: what may happen, and that every way ends."""

from __future__ import annotations

import re

import pytest

from heliograph.adapters.queue.redis_scripts import lua_states
from heliograph.core import jobs
from heliograph.core.jobs import FINAL_STATES, TRANSITIONS, JobEvent, JobState

OPEN_STATES = [state for state in JobState if state not in FINAL_STATES]


def states_after(state: JobState) -> set[JobState]:
    """Every state that can follow, by however many events."""
    found: set[JobState] = set()
    todo = [state]
    while todo:
        now = todo.pop()
        for (before, _), after in TRANSITIONS.items():
            if before is now and after not in found:
                found.add(after)
                todo.append(after)
    return found


def test_only_a_dead_job_comes_back_and_only_by_a_requeue() -> None:
    ways_out = {key: after for key, after in TRANSITIONS.items() if key[0].is_final}
    assert ways_out == {(JobState.DEAD, JobEvent.REQUEUE): JobState.QUEUED}


@pytest.mark.parametrize("state", OPEN_STATES)
def test_from_every_open_state_every_end_can_be_reached(state: JobState) -> None:
    assert states_after(state) >= FINAL_STATES
    assert not state.is_final


@pytest.mark.parametrize("state", OPEN_STATES)
def test_every_open_job_can_be_cancelled(state: JobState) -> None:
    assert TRANSITIONS[state, JobEvent.CANCEL] is JobState.CANCELLED


@pytest.mark.parametrize("event", [JobEvent.FINISH, JobEvent.FAIL, JobEvent.RETRY, JobEvent.HAND_BACK])
def test_only_a_running_job_can_end_an_attempt(event: JobEvent) -> None:
    assert [state for state in JobState if (state, event) in TRANSITIONS] == [JobState.RUNNING]


def test_a_job_whose_worker_was_lost_is_begun_again_where_it_is() -> None:
    assert TRANSITIONS[JobState.RUNNING, JobEvent.START] is JobState.RUNNING


def test_every_event_and_every_state_has_a_use() -> None:
    assert {event for _, event in TRANSITIONS} == set(JobEvent)
    assert {before for before, _ in TRANSITIONS} | set(TRANSITIONS.values()) == set(JobState)


def test_the_drawing_shows_every_state_and_event() -> None:
    words = set(re.findall(r"[a-z]+", (jobs.__doc__ or "").replace("hand back", "handback")))
    assert {state.value for state in JobState} <= words
    assert {event.value.replace("-", "") for event in JobEvent} <= words


def test_scripts_get_the_same_table() -> None:
    table, final, _ = lua_states().splitlines()
    rows = re.findall(r"\['(\w+)'\] = \{([^{}]*)\}", table)
    moves = {
        (JobState(state), JobEvent(event)): JobState(after)
        for state, row in rows
        for event, after in re.findall(r"\['([\w-]+)'\] = '(\w+)'", row)
    }
    assert moves == TRANSITIONS
    assert {JobState(state) for state, _ in rows} == set(JobState)
    assert {JobState(state) for state in re.findall(r"\['(\w+)'\] = true", final)} == FINAL_STATES
