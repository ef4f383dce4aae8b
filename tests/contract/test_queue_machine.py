"""A queue against a model that knows nothing but the table of transitions, through whatever may happen to it.

Workers read, begin, renew, overwrite each other's leases, die, wake up late, and finish what is no longer theirs;
clients cancel, acknowledge and requeue; time passes. After each step the queue's numbers are those of the model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from heliograph.core.jobs import (
    FINAL_STATES,
    Assignment,
    Delivery,
    JobEvent,
    JobProblem,
    JobResult,
    JobState,
    Outcome,
    Priority,
    Verdict,
)
from heliograph.core.queue import QueueRules
from queue_model import NOBODY, PAYLOAD, RESULT_ELSEWHERE, Modelled, told_states
from queue_servers import BINARIES, QueueServer
from queue_trials import MemoryTrial, RedisTrial, Trial, end, new_group

Value = TypeVar("Value")
One = TypeVar("One", bound=Delivery | Assignment)
RULES = QueueRules(max_attempts=2, memory_seconds=10.0**8)
WORKERS = st.sampled_from(["ann", "bob", "cay"])
MOSTLY = st.sampled_from([True, True, False])
PROBLEM = JobProblem(code="engine-failed", message="The engine failed.")
EXAMPLES = {"memory": 120}
ON_A_SERVER = 40


class QueueMachine(RuleBasedStateMachine):
    """The steps. Jobs, deliveries and assignments are chosen from all that ever were, so mostly late ones."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.trial = trial
        self.jobs: dict[str, Modelled] = {}
        self.held: list[tuple[str, Delivery | Assignment]] = []
        self.redelivered = self.expired = self.answers = 0

    def ask(self, question: Awaitable[Value]) -> Value:
        async def answer() -> Value:
            return await question

        return self.loop.run(answer())

    def teardown(self) -> None:
        for job in self.jobs.values():
            stored = self.ask(self.trial.desk.result(job.id))
            assert (stored.data if stored else None) == job.result
        assert self.ask(told_states(self.trial)) == {job.id: job.state for job in self.jobs.values()}
        self.ask(end(self.trial))
        self.ask(self.trial.close())
        self.loop.close()

    def model_of(self, one: Delivery | Assignment) -> Modelled:
        return self.jobs[one.delivery.job_id if isinstance(one, Assignment) else one.job_id]

    def holds(self, worker: str, one: Delivery | Assignment) -> bool:
        """Whether what a worker once got is still its own."""
        job = self.model_of(one)
        if isinstance(one, Assignment):
            return job.state is JobState.RUNNING and job.token == one.token
        return job.is_delivered and job.entry == one.entry and job.holder == worker

    def pick(self, data: st.DataObject, held: Sequence[tuple[str, One]]) -> tuple[str, list[One]]:
        """A worker, and some of what it ever got: mostly what is still its own, else every step would be late."""
        if data.draw(MOSTLY):
            held = [(name, one) for name, one in held if self.holds(name, one)] or held
        if not held:
            return "ann", []
        worker = data.draw(st.sampled_from(sorted({name for name, _ in held})))
        own = [one for name, one in held if name == worker]
        places = data.draw(st.lists(st.sampled_from(range(len(own))), unique=True, min_size=1, max_size=4))
        return worker, [own[place] for place in places]

    @property
    def deliveries(self) -> list[tuple[str, Delivery]]:
        return [(worker, one) for worker, one in self.held if isinstance(one, Delivery)]

    @property
    def assignments(self) -> list[tuple[str, Assignment]]:
        return [(worker, one) for worker, one in self.held if isinstance(one, Assignment)]

    # Clients

    @initialize()
    def begin(self) -> None:
        self.deliver(3, Priority.BULK)

    @rule(count=st.integers(1, 3), priority=st.sampled_from(Priority), elsewhere=st.sampled_from([0, 100]))
    def deliver(self, count: int, priority: Priority, elsewhere: int = 0) -> None:
        group = new_group(count, priority=priority, payload=PAYLOAD)
        group = replace(group, jobs=tuple(replace(job, kept_elsewhere=elsewhere) for job in group.jobs))
        assert self.ask(self.trial.desk.enqueue(group)).job_ids == tuple(job.id for job in group.jobs)
        self.jobs |= {
            job.id: Modelled(id=job.id, priority=priority, elsewhere=elsewhere) for job in group.jobs
        }

    @rule(data=st.data(), action=st.sampled_from(["cancel", "requeue", "acknowledge"]))
    def client(self, data: st.DataObject, action: str) -> None:
        fitting = [job.id for job in self.jobs.values() if action != "requeue" or job.state is JobState.DEAD]
        job = self.jobs[data.draw(st.sampled_from(fitting or sorted(self.jobs)))]
        was_delivered = job.is_delivered
        seen = self.ask(getattr(self.trial.desk, action)(job.id))
        if action == "cancel" and job.happens(JobEvent.CANCEL) and not was_delivered:
            job.stale_entries += 1
        if action == "requeue" and job.picture and job.happens(JobEvent.REQUEUE):
            job.attempts, job.entry, job.token = 0, "", ""
        if action == "acknowledge" and job.state in FINAL_STATES and not job.is_expired:
            job.forget_result()
            self.expired += 1
        assert (seen.state, seen.attempts, seen.is_expired) == (job.state, job.attempts, job.is_expired)

    @rule(state=st.sampled_from(JobState))
    def list_a_state(self, state: JobState) -> None:
        found: list[str] = []
        cursor = ""
        while True:
            page = self.ask(self.trial.desk.jobs(None, state=state, cursor=cursor, limit=3))
            found += [job.id for job in page.jobs]
            cursor = page.next_cursor
            if not cursor:
                break
        expected = [job.id for job in self.jobs.values() if job.state is state and not job.is_expired]
        assert found == expected[::-1]

    # Workers

    @rule(worker=WORKERS, count=st.integers(1, 4), prefer=st.sampled_from(Priority), starts=MOSTLY)
    def read(self, worker: str, count: int, prefer: Priority, starts: bool) -> None:
        found = self.ask(self.trial.source.read(worker, count=count, prefer=prefer))
        assert len(found) <= count
        assert [one.priority is prefer for one in found] == sorted(
            (one.priority is prefer for one in found), reverse=True
        )
        for delivery in found:
            assert delivery.attempts == 0
            self.take(worker, delivery)
        if starts:
            self.start(worker, [one for one in found if self.holds(worker, one)])
        if len(found) < count:
            assert all(job.is_delivered for job in self.jobs.values() if job.state is JobState.QUEUED)

    def take(self, worker: str, delivery: Delivery) -> None:
        self.held.append((worker, delivery))
        job = self.model_of(delivery)
        if job.state is not JobState.QUEUED:  # cancelled before it was read
            job.stale_entries -= 1
            self.ask(self.trial.source.start(worker, [delivery]))
            return
        assert not job.is_delivered
        job.is_delivered, job.holder, job.entry, job.is_lease_over = True, worker, delivery.entry, False

    @rule(data=st.data())
    def start_some(self, data: st.DataObject) -> None:
        worker, deliveries = self.pick(data, self.deliveries)
        once = {
            delivery.job_id: delivery for delivery in deliveries
        }  # who got a job twice begins it once in a call
        self.start(worker, list(once.values()))

    def start(self, worker: str, deliveries: Sequence[Delivery]) -> None:
        expected = []
        for delivery in deliveries:
            job = self.model_of(delivery)
            if not self.holds(worker, delivery):
                continue
            if job.attempts >= RULES.max_attempts:
                assert job.happens(JobEvent.EXHAUST)
                continue
            self.redelivered += job.state is JobState.RUNNING
            assert job.happens(JobEvent.START)
            job.attempts += 1
            expected.append((job.id, job.attempts))
        assignments = self.ask(self.trial.source.start(worker, deliveries))
        assert [(one.delivery.job_id, one.attempt) for one in assignments] == expected
        for assignment in assignments:
            assert assignment.payload == PAYLOAD
            self.model_of(assignment).token = assignment.token
            self.held.append((worker, assignment))

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        worker, chosen = self.pick(data, self.held)
        verdicts = self.ask(self.trial.source.renew(worker, chosen))
        for one, verdict in zip(chosen, verdicts, strict=True):
            job = self.model_of(one)
            lost = Verdict.CANCELLED if job.state is JobState.CANCELLED else Verdict.LOST
            assert verdict is (Verdict.MINE if self.holds(worker, one) else lost)
        for one, verdict in zip(chosen, verdicts, strict=True):
            if verdict is Verdict.MINE:
                job = self.model_of(one)
                job.holder, job.is_lease_over = worker, False

    @rule(data=st.data(), succeeds=MOSTLY)
    def finish(self, data: st.DataObject, succeeds: bool) -> None:
        worker, assignments = self.pick(data, self.assignments)
        outcomes, expected = [], []
        for assignment in assignments:
            job = self.model_of(assignment)
            self.answers += 1
            text = str(self.answers).encode()
            result = JobResult(data=text, media_type="text/plain", kept_elsewhere=RESULT_ELSEWHERE)
            outcomes.append(Outcome(assignment=assignment, answer=result if succeeds else PROBLEM))
            if self.holds(worker, assignment):
                job.happens(JobEvent.FINISH if succeeds else JobEvent.FAIL)
                job.result = text if succeeds else None
                expected.append(True)
            else:  # its own finish, sent again, is told that all is well
                settled = job.state in (JobState.DONE, JobState.FAILED)
                expected.append(settled and job.token == assignment.token)
        assert list(self.ask(self.trial.source.finish(worker, outcomes))) == expected

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        worker, assignments = self.pick(data, self.assignments)
        for assignment in assignments[:1]:
            self.retry_one(worker, assignment)

    def retry_one(self, worker: str, assignment: Assignment) -> None:
        job, expected = self.model_of(assignment), True
        if not self.holds(worker, assignment):
            expected = job.token == assignment.token and job.state in (JobState.QUEUED, JobState.DEAD)
        elif job.attempts >= RULES.max_attempts:
            assert job.happens(JobEvent.EXHAUST)
        else:
            assert job.happens(JobEvent.RETRY)
            job.holder = NOBODY
        assert self.ask(self.trial.source.retry(worker, assignment, PROBLEM)) is expected

    @rule(data=st.data(), lacks_model=st.booleans())
    def hand_back(self, data: st.DataObject, lacks_model: bool) -> None:
        worker, chosen = self.pick(data, self.held)
        self.ask(self.trial.source.hand_back(worker, chosen, lacks_model=lacks_model))
        mine = [one for one in chosen if self.holds(worker, one)]
        for one in mine:
            job = self.model_of(one)
            job.holder, job.lacks_model = NOBODY, lacks_model
            if isinstance(one, Assignment):
                assert job.happens(JobEvent.HAND_BACK)
                job.attempts -= 1

    @rule(worker=WORKERS)
    def die(self, worker: str) -> None:
        held = [job for job in self.jobs.values() if job.is_delivered and job.holder == worker]
        assert self.ask(self.trial.source.release(worker)) == len(held)
        for job in held:
            job.holder = NOBODY

    @rule(
        worker=WORKERS,
        count=st.integers(1, 4),
        starts=MOSTLY,
        models=st.sampled_from([(), ("other", "tried")]),
    )
    def reclaim(self, worker: str, count: int, starts: bool, models: tuple[str, ...]) -> None:
        loose = {
            job.id
            for job in self.jobs.values()
            if job.is_delivered
            and ((job.holder == NOBODY or job.is_lease_over) if not job.lacks_model else models)
        }
        found = self.ask(self.trial.source.reclaim(worker, count=count, models=models))
        assert len(found) == min(count, len(loose))
        for delivery in found:
            assert delivery.job_id in loose
            job = self.model_of(delivery)
            assert (delivery.entry, delivery.attempts) == (job.entry, job.attempts)
            job.holder, job.is_lease_over, job.lacks_model = worker, False, False
            self.held.append((worker, delivery))
        if starts:
            self.start(worker, found)

    # Time

    @rule()
    def leases_run_out(self) -> None:
        self.ask(self.trial.later(RULES.lease_seconds + 1))
        for job in self.jobs.values():
            job.is_lease_over = True

    @rule()
    def results_expire(self) -> None:
        self.ask(self.trial.later(RULES.result_seconds + 1))
        over = [job for job in self.jobs.values() if job.state in FINAL_STATES and not job.is_expired]
        assert self.ask(self.trial.desk.expire()) == len(over)
        for job in over:
            job.forget_result()
        self.expired += len(over)
        for job in self.jobs.values():
            job.is_lease_over = True

    # What always holds

    @invariant()
    def the_numbers_are_right(self) -> None:
        counts, jobs = self.ask(self.trial.desk.counts()), self.jobs.values()
        states = [job.state for job in jobs]
        assert counts.accepted == len(states)
        assert counts.finished == {state: states.count(state) for state in FINAL_STATES}
        for priority, backlog in counts.backlog.items():
            of_it = [job.state for job in jobs if job.priority is priority]
            assert backlog.waiting == of_it.count(JobState.QUEUED)
            assert backlog.running == of_it.count(JobState.RUNNING)
        assert counts.stored_bytes == sum(job.stored_bytes for job in jobs)
        assert (counts.redelivered, counts.expired) == (self.redelivered, self.expired)

    @invariant()
    def the_lag_is_exact(self) -> None:
        undelivered = self.ask(self.trial.undelivered())
        for priority in Priority:
            waiting = [job for job in self.jobs.values() if job.priority is priority]
            waiting = [job for job in waiting if job.state is JobState.QUEUED and not job.is_delivered]
            stale = sum(job.stale_entries for job in self.jobs.values() if job.priority is priority)
            assert len(waiting) <= undelivered[priority] <= len(waiting) + stale
            if isinstance(self.trial, RedisTrial):
                assert undelivered[priority] == len(waiting) + stale


Servers = Callable[[str], QueueServer]


@pytest.mark.parametrize("name", ["memory", *BINARIES])
def test_a_queue_is_as_its_model(name: str, servers: Servers) -> None:
    class Machine(QueueMachine):
        def __init__(self) -> None:
            trial = MemoryTrial(RULES) if name == "memory" else RedisTrial(RULES, servers(name))
            super().__init__(trial)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES.get(name, ON_A_SERVER),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
