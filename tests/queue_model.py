"""What must be true of jobs, by the table of transitions alone, and what the events of a queue say of them."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.core.events import EventKind
from heliograph.core.jobs import FINAL_STATES, TRANSITIONS, JobEvent, JobState, Priority
from queue_trials import Trial

NOBODY = ""
PAYLOAD = b"picture"
RESULT_ELSEWHERE = 5
"""How many bytes more of each result lie in a blob store."""
TOLD = {
    EventKind.ACCEPTED: JobState.QUEUED,
    EventKind.RETURNED: JobState.QUEUED,
    EventKind.REQUEUED: JobState.QUEUED,
    EventKind.STARTED: JobState.RUNNING,
} | {EventKind(state.value): state for state in FINAL_STATES}


async def told_states(trial: Trial) -> dict[str, JobState]:
    """The state of each job as the events tell it."""
    states: dict[str, JobState] = {}
    page = await trial.desk.events("0-0", limit=20)
    while page.events:
        assert page.is_complete
        states |= {job_id: TOLD[event.kind] for event in page.events for job_id in event.job_ids}
        page = await trial.desk.events(page.last_id, limit=20)
    return states


@dataclass(eq=False)
class Modelled:
    """What must be true of a job."""

    id: str
    priority: Priority
    state: JobState = JobState.QUEUED
    attempts: int = 0
    is_delivered: bool = False
    stale_entries: int = 0
    """Entries of it that are cancelled and not read yet."""
    holder: str = NOBODY
    is_lease_over: bool = False
    lacks_model: bool = False
    """Whether it was handed back for want of its model."""
    entry: str = ""
    token: str = ""
    result: bytes | None = None
    picture: bytes = PAYLOAD
    elsewhere: int = 0
    """How many bytes more of the picture lie in a blob store."""
    is_expired: bool = False

    @property
    def stored_bytes(self) -> int:
        picture = len(self.picture) + self.elsewhere if self.picture else 0
        return picture + (len(self.result) + RESULT_ELSEWHERE if self.result else 0)

    def happens(self, event: JobEvent) -> bool:
        """Lets an event happen, if the table allows it."""
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        self.state = after
        if after in FINAL_STATES:
            self.is_delivered, self.holder = False, NOBODY
            if after is not JobState.DEAD:
                self.picture = b""
        return True

    def forget_result(self) -> None:
        self.is_expired, self.result, self.picture = True, None, b""
