"""What every queue promises of its workers: who is there, how they are, and that somebody notices when one is not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from heliograph.core.workers import WorkerInfo, WorkerState
from queue_trials import RedisTrial, Trial, begun, enqueued

pytestmark = pytest.mark.anyio
ANN = WorkerInfo(
    name="ann",
    state=WorkerState.READY,
    host="pod-1",
    pid=4711,
    models={"u2netp": "ready", "kmnist": "unavailable"},
    problems={"kmnist": "Its weights are not there: “größer” than allowed"},
    holding=2,
    finished=30,
    started_at=1_700_000_000.5,
)
BOB = WorkerInfo(name="bob", state=WorkerState.STARTING, host="pod-2", pid=1)
LOST = 11.0
FORGOTTEN = 71.0


async def told(trial: Trial) -> list[tuple[str, str, str]]:
    """What was told so far of which worker, with the detail."""
    page = await trial.desk.events("0-0", limit=5000)
    assert page.is_complete
    return [(event.kind.value, event.worker, event.detail) for event in page.events if not event.job_ids]


async def states(trial: Trial) -> Sequence[tuple[str, WorkerState]]:
    return [(worker.name, worker.state) for worker in await trial.desk.workers()]


async def test_workers_are_listed_by_name_as_they_say_they_are(trial: Trial) -> None:
    assert list(await trial.desk.workers()) == []
    await trial.source.beat(BOB)
    await trial.source.beat(ANN)
    await enqueued(trial)
    (job,) = (await trial.desk.jobs(None)).jobs
    ann, bob = await trial.desk.workers()
    assert (replace(ann, seen_at=0.0), replace(bob, seen_at=0.0)) == (ANN, BOB)
    assert 0.0 <= job.accepted_at - ann.seen_at < 5.0
    busy = replace(ANN, state=WorkerState.BUSY, holding=9)
    await trial.source.beat(busy)
    assert replace((await trial.desk.workers())[0], seen_at=0.0) == busy


async def test_workers_are_told_of_when_they_come_and_when_they_change(trial: Trial) -> None:
    for _ in range(2):
        await trial.source.beat(BOB)
    await trial.source.beat(replace(BOB, state=WorkerState.READY))
    await trial.source.beat(replace(BOB, state=WorkerState.READY, holding=1, finished=1))
    await trial.source.beat(replace(BOB, state=WorkerState.STOPPING))
    assert await told(trial) == [
        ("worker-up", "bob", "starting"),
        ("worker-changed", "bob", "ready"),
        ("worker-changed", "bob", "stopping"),
    ]


async def test_a_worker_that_left_is_forgotten_and_told_of_once(trial: Trial) -> None:
    for info in (ANN, BOB):
        await trial.source.beat(info)
    for _ in range(2):
        assert await trial.source.release("ann") == 0
    assert await trial.source.release("never heard of") == 0
    assert await states(trial) == [("bob", WorkerState.STARTING)]
    assert (await told(trial))[2:] == [("worker-down", "ann", "gone")]
    await trial.source.beat(ANN)  # it was not dead
    assert (await told(trial))[3:] == [("worker-up", "ann", "ready")]


async def test_a_silent_worker_is_gone_told_of_once_and_forgotten_a_minute_later(trial: Trial) -> None:
    await trial.source.beat(ANN)
    await trial.later(LOST)
    await trial.source.beat(BOB)
    assert await states(trial) == [("ann", WorkerState.GONE), ("bob", WorkerState.STARTING)]
    for _ in range(2):
        await trial.desk.expire()
    assert await states(trial) == [("ann", WorkerState.GONE), ("bob", WorkerState.STARTING)]
    assert (await told(trial))[2:] == [("worker-lost", "ann", "gone")]
    await trial.later(FORGOTTEN - LOST)
    await trial.source.beat(BOB)
    await trial.desk.expire()
    assert await states(trial) == [("bob", WorkerState.STARTING)]
    assert len(await told(trial)) == 3


async def test_a_worker_that_beats_in_time_is_not_lost(trial: Trial) -> None:
    for _ in range(4):
        await trial.source.beat(ANN)
        await trial.later(LOST - 3)
        await trial.desk.expire()
        assert await states(trial) == [("ann", WorkerState.READY)]
    assert len(await told(trial)) == 1


@pytest.mark.parametrize("silence", [LOST, FORGOTTEN])
async def test_a_worker_that_wakes_up_after_it_was_lost_is_there_again(trial: Trial, silence: float) -> None:
    await trial.source.beat(ANN)
    await trial.later(silence)
    await trial.desk.expire()
    await trial.source.beat(ANN)
    assert await states(trial) == [("ann", WorkerState.READY)]
    kinds = [kind for kind, *_ in await told(trial)]
    assert kinds == ["worker-up", "worker-lost", "worker-up"]
    await trial.later(LOST)
    await trial.desk.expire()
    assert [kind for kind, *_ in await told(trial)] == [*kinds, "worker-lost"]


async def test_a_lost_worker_that_is_known_to_be_dead_is_gone(trial: Trial) -> None:
    await trial.source.beat(ANN)
    await enqueued(trial, 2)
    await begun(trial, "ann")
    await trial.later(LOST)
    await trial.desk.expire()
    assert await trial.source.release("ann") == 2
    assert await states(trial) == []
    assert [kind for kind, *_ in await told(trial)] == ["worker-up", "worker-lost", "worker-down"]


async def test_a_thousand_workers_are_listed_and_lost(trial: Trial) -> None:
    names = [f"worker-{number:04}" for number in range(1000)]
    await asyncio.gather(*(trial.source.beat(replace(ANN, name=name)) for name in names))
    assert [worker.name for worker in await trial.desk.workers()] == names
    await trial.later(LOST)
    await trial.desk.expire(limit=400)
    for _ in range(2):
        await trial.desk.expire(limit=400)
    assert sorted(worker for kind, worker, _ in await told(trial) if kind == "worker-lost") == names
    assert {state for _, state in await states(trial)} == {WorkerState.GONE}


@pytest.mark.parametrize(
    "heartbeat", ["", "{}", "[]", "3", "\xff", '{"host": "h"}', "MODELS", "PID", "asleep"]
)
async def test_a_worker_of_another_version_hides_no_other(server_trial: RedisTrial, heartbeat: str) -> None:
    trial = server_trial
    for info in (ANN, BOB):
        await trial.source.beat(info)
    table = trial.keys.single("workers")
    state, _, rest = trial.client.hget(table, "bob").decode().partition(" ")
    said = {
        "MODELS": rest.replace('"models": {}', '"models": [1]'),
        "PID": rest.replace('"pid": 1', '"pid": {}'),
        "asleep": rest,
    }
    state = heartbeat if heartbeat == "asleep" else state
    trial.client.hset(table, "bob", f"{state} {said.get(heartbeat, heartbeat)}")
    assert await states(trial) == [("ann", WorkerState.READY)]
    for info in (ANN, BOB):
        await trial.source.release(info.name)
