"""What a queue promises of calls to its server: large ones go in parts, and an answer that was lost does no harm."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from heliograph.adapters.queue import parts, redis_server, redis_source
from heliograph.core import errors
from heliograph.core.jobs import Delivery, JobResult, JobState, NewGroup, NewJob, Outcome
from queue_servers import QueueServer
from queue_trials import PAYLOAD, RedisTrial, begun, enqueued, finish, new_group
from service import wait_for

pytestmark = pytest.mark.anyio
LEASE = 10.0
SIZES = (0, 9, 10, 11, 300, 40, 59, 61, 0, 12, 10)


@pytest.fixture
def trial(server_trial: RedisTrial) -> RedisTrial:
    return server_trial


@contextmanager
def stopped(server: QueueServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server hears everything in the block, and does it afterwards; meanwhile nobody waits for long."""
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(redis_server, "ANSWER_SECONDS", 0.1)
            impatient.setattr(parts, "SLOWEST_BYTES_PER_SECOND", 10**9)
            yield
    finally:
        server.process.send_signal(signal.SIGCONT)


# Parts


def of_sizes(sizes: Sequence[int]) -> NewGroup:
    group = new_group()
    jobs = (
        NewJob(id=f"{group.id}-{place}", name="", model="tried", payload=os.urandom(size))
        for place, size in enumerate(sizes)
    )
    return NewGroup(id=group.id, owner="me", jobs=tuple(jobs))


@pytest.fixture
def carried(trial: RedisTrial, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Small parts, and how many bytes each call carried in its longest payloads, results or answers."""
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    monkeypatch.setattr(redis_source, "PART_BYTES", 25)
    monkeypatch.setattr(redis_source, "ALONG_BYTES", 10)
    seen: list[int] = []
    seconds_for = parts.seconds_for

    def noting(arguments: Sequence[object], answer_bytes: int = 0) -> float:
        sent = sum(len(one) for one in arguments if isinstance(one, bytes))
        seen.append(sent + answer_bytes)
        return seconds_for(arguments, answer_bytes)

    monkeypatch.setattr(redis_server, "seconds_for", noting)
    return seen


async def test_large_payloads_and_results_go_in_parts(trial: RedisTrial, carried: list[int]) -> None:
    group = of_sizes(SIZES)
    await trial.desk.enqueue(group)
    assert carried == [sum(SIZES)]
    deliveries = await trial.source.read("a", count=99)
    carried.clear()
    assignments = await trial.source.start("a", deliveries)
    assert [one.payload for one in assignments] == [job.payload for job in group.jobs]
    # Together 25 bytes came along, of those with 10 at most; the rest follows in its order.
    assert carried == [25, 11, 300, 99, 61 + 12 + 10]
    carried.clear()
    answers = [JobResult(data=os.urandom(size), media_type="image/png") for size in SIZES]
    outcomes = [Outcome(assignment=one, answer=a) for one, a in zip(assignments, answers, strict=True)]
    for _ in range(2):  # the same call again
        assert list(await trial.source.finish("a", outcomes)) == [True] * len(SIZES)
    assert carried == [30, 300, 99, 83] * 2
    assert [await trial.desk.result(job.id) for job in group.jobs] == answers


async def test_a_large_picture_that_the_server_lost_is_missed(trial: RedisTrial, carried: list[int]) -> None:
    group = of_sizes((50, 60, 5))
    await trial.desk.enqueue(group)
    trial.client.delete(trial.keys.of("payload", group.jobs[1].id))
    assert [one.payload for one in await begun(trial)] == [group.jobs[0].payload, group.jobs[2].payload]
    job = await trial.desk.job(group.jobs[1].id)
    assert job is not None
    assert job.state is JobState.DEAD
    assert carried


def test_every_part_has_something_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", 10)
    cases: dict[tuple[int, ...], list[list[int]]] = {
        (): [],
        (0,): [[0]],
        (99,): [[99]],
        (5, 5, 1): [[5, 5], [1]],
        (99, 0, 99): [[99], [0], [99]],
        (1, 10, 0, 0): [[1], [10, 0, 0]],
    }
    for sizes, expected in cases.items():
        assert [list(sizes[part]) for part in parts.parts(sizes)] == expected


async def test_a_call_that_carries_more_is_waited_for_longer(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    group = new_group(2, payload=bytes(1000))
    with stopped(server, monkeypatch):
        monkeypatch.setattr(parts, "SLOWEST_BYTES_PER_SECOND", 5000)
        begin = loop.time()
        with pytest.raises(errors.QueueUnavailable):
            await trial.desk.enqueue(group)
    assert 0.45 < loop.time() - begin < 3.0


# Starts whose answer was lost


async def unanswered_start(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> Delivery:
    """A delivery of which a worker has begun, without hearing of it."""
    await enqueued(trial)
    (delivery,) = await trial.source.read("a", count=1)
    with stopped(server, monkeypatch), pytest.raises(errors.QueueUnavailable):
        await trial.source.start("a", [delivery])
    job = trial.keys.of("job", delivery.job_id)
    wait_for("a start", lambda: trial.client.hget(job, "state") == b"running")
    return delivery


async def test_a_start_that_comes_again_since_it_was_not_answered_is_the_same(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = await unanswered_start(trial, server, monkeypatch)
    (assignment,) = await trial.source.start("a", [delivery])
    assert (assignment.attempt, assignment.payload) == (1, PAYLOAD)
    assert (await trial.desk.counts()).redelivered == 0
    (second,) = await trial.source.start("a", [delivery])  # after an answer it is another attempt
    assert second.attempt == 2
    assert not await finish(trial, assignment, "a")
    assert await finish(trial, second, "a")


@pytest.mark.parametrize("lets_run_out", [True, False])
async def test_a_start_of_what_its_worker_got_anew_is_another_attempt(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch, lets_run_out: bool
) -> None:
    delivery = await unanswered_start(trial, server, monkeypatch)
    if lets_run_out:
        await trial.later(LEASE + 1)
    else:
        await trial.source.hand_back("a", [delivery])
    (anew,) = await trial.source.reclaim("a", count=1)
    (assignment,) = await trial.source.start("a", [anew])
    assert assignment.attempt == 2
    assert await finish(trial, assignment, "a")


async def test_a_start_of_what_another_worker_has_by_now_does_nothing(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = await unanswered_start(trial, server, monkeypatch)
    await trial.later(LEASE + 1)
    (assignment,) = await trial.source.start("b", await trial.source.reclaim("b", count=1))
    assert not await trial.source.start("a", [delivery])
    assert await finish(trial, assignment, "b")


async def test_a_start_is_repeated_whole_when_its_payloads_did_not_come(
    trial: RedisTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_source, "ALONG_BYTES", 1)
    await enqueued(trial, 2)
    deliveries = await trial.source.read("a", count=2)
    call: Callable[..., Awaitable[Any]] = trial.server.call

    async def cut(*command: object, answer_bytes: int = 0) -> Any:
        monkeypatch.setattr(trial.server, "call", call)
        raise errors.QueueUnavailable

    monkeypatch.setattr(trial.server, "call", cut)
    with pytest.raises(errors.QueueUnavailable):
        await trial.source.start("a", deliveries)
    assignments = await trial.source.start("a", deliveries)
    assert [(one.attempt, one.payload) for one in assignments] == [(1, PAYLOAD)] * 2
