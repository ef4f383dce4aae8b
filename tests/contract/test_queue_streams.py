"""What a queue promises of its streams and keys: exact for autoscalers, found again, and none too many."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.adapters.queue import keys as queue_keys
from heliograph.adapters.queue.redis_fleet_log import RedisFleetLog
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.adapters.queue.redis_source import RedisSource
from heliograph.core.fleet import FleetAction
from heliograph.core.jobs import JobState, Outcome, Priority
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from queue_servers import QueueServer
from queue_trials import RESULT, RedisTrial, begun, end, enqueued, finish, ids_of

pytestmark = pytest.mark.anyio
LEASE = 10.0
BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE


@pytest.fixture
def trial(server_trial: RedisTrial) -> RedisTrial:
    return server_trial


def consumers(trial: RedisTrial, priority: Priority = BULK) -> set[str]:
    found = trial.client.xinfo_consumers(trial.keys.stream(priority), queue_keys.CONSUMER_GROUP)
    return {consumer["name"].decode() for consumer in found}


# As autoscalers see it


async def test_streams_tell_autoscalers_from_the_first_job_on(trial: RedisTrial) -> None:
    await enqueued(trial, 3)
    assert {priority: group["lag"] for priority, group in trial.groups().items()} == {BULK: 3, INTERACTIVE: 0}
    assert trial.keys.stream(BULK) == "{heliograph:tried}:stream:bulk"
    assert {group["name"] for group in trial.groups().values()} == {b"workers"}


async def test_lag_and_pending_are_exact_whatever_happens(trial: RedisTrial) -> None:
    async def expect(lag: int, pending: int) -> None:
        group = trial.groups()[BULK]
        assert (group["lag"], group["pending"]) == (lag, pending)
        # Behind held ones, the last that was delivered stays until the next is.
        assert lag + pending <= trial.client.xlen(trial.keys.stream(BULK)) <= lag + pending + (pending > 0)

    ids = await enqueued(trial, 8)
    await expect(8, 0)
    deliveries = await trial.source.read("a", count=4)
    await expect(4, 4)
    await trial.desk.cancel(ids[5])  # not read yet: stays until somebody reads it
    await expect(4, 4)
    await trial.desk.cancel(ids[1])  # read: goes at once
    await expect(4, 3)
    first, third, fourth = await trial.source.start("a", deliveries)
    await finish(trial, first, "a")
    await expect(4, 2)
    await trial.source.hand_back("a", [third])
    await expect(4, 2)
    for _ in range(3):
        await trial.source.release("a")
        assert await trial.source.start("a", await trial.source.reclaim("a", count=9))
    await trial.source.release("a")
    started = await trial.source.start("b", await trial.source.reclaim("b", count=9))
    assert ids_of(started) == []
    await expect(4, 0)
    await trial.desk.requeue(ids_of([fourth])[0])
    await expect(5, 0)
    await trial.source.read("b", count=2)
    await expect(3, 2)
    await trial.later(LEASE + 1)
    await trial.source.start("c", await trial.source.reclaim("c", count=9))
    await expect(3, 1)
    await enqueued(trial, 2)
    await expect(5, 1)
    started = await trial.source.start("c", await trial.source.read("c", count=9))
    await trial.source.finish("c", [Outcome(assignment=one, answer=RESULT) for one in started])
    await expect(0, 1)


# Workers' names


async def test_the_name_of_a_dead_worker_goes_once_it_holds_nothing(server: QueueServer) -> None:
    trial = RedisTrial(QueueRules(idle_worker_seconds=0.05), server)
    await enqueued(trial, 5)
    (held,) = await begun(trial, "holds", count=1)
    await begun(trial, "released", count=1)
    for one in await begun(trial, "idle", count=1):
        await finish(trial, one, "idle")
    await trial.source.release("released")
    assert consumers(trial) == {"holds", "idle", queue_keys.NOBODY}
    await asyncio.sleep(0.1)
    await trial.desk.expire()
    assert consumers(trial) == {"holds", queue_keys.NOBODY}
    assert await finish(trial, held, "holds")
    await asyncio.sleep(0.1)
    await trial.desk.expire()
    assert consumers(trial) == {queue_keys.NOBODY}
    await trial.source.hand_back("picky", await begun(trial, "picky"), lacks_model=True)
    await asyncio.sleep(0.1)
    await trial.desk.expire()
    assert consumers(trial) == {queue_keys.NOBODY, f"{queue_keys.WAITING_FOR}tried"}
    taken = await trial.source.start("b", await trial.source.reclaim("b", count=9, models=["tried"]))
    await trial.source.finish("b", [Outcome(assignment=one, answer=RESULT) for one in taken])
    await asyncio.sleep(0.1)
    await trial.desk.expire()
    assert consumers(trial) == {queue_keys.NOBODY}
    assert not await trial.source.read("holds", count=1)  # it was alive, and goes on
    await end(trial)
    await trial.close()


async def test_a_waiting_worker_whose_name_was_removed_gets_its_job(server: QueueServer) -> None:
    trial = RedisTrial(QueueRules(idle_worker_seconds=0.05), server)
    await enqueued(trial, 1)
    await begun(trial)
    waiting = asyncio.create_task(trial.source.read("waits", count=1, wait_seconds=4.0))
    await asyncio.sleep(0.1)
    await trial.desk.expire()
    assert "waits" not in consumers(trial)
    ids = await enqueued(trial, 1)
    deliveries = await waiting
    assert ids_of(deliveries) == list(ids)
    assert len(await trial.source.start("waits", deliveries)) == 1
    await end(trial)
    await trial.close()


# Traps


async def test_a_lease_that_ran_out_is_found_behind_hundreds_that_did_not(trial: RedisTrial) -> None:
    await enqueued(trial, 1301)
    deliveries = await trial.source.read("alive", count=1300)
    (stuck,) = await trial.source.read("dead", count=1)
    await trial.later(LEASE + 1)
    await trial.source.renew("alive", deliveries)
    found = [one for _ in range(7) for one in await trial.source.reclaim("b", count=1)]
    assert ids_of(found) == ids_of([stuck])


async def test_two_jobs_that_come_at_once_do_not_exceed_the_count(trial: RedisTrial) -> None:
    first = await enqueued(trial)
    await finish(trial, (await begun(trial, "a"))[0], "a")
    waiting = asyncio.create_task(trial.source.read("a", count=1, wait_seconds=4.0))
    await asyncio.sleep(0.05)
    with trial.client.pipeline(transaction=True) as pipe:
        for priority in Priority:
            pipe.xadd(trial.keys.stream(priority), {"job": first[0]})
        pipe.execute()
    assert len(await waiting) == 1
    (other,) = [*await trial.source.read("b", count=9), *await trial.source.reclaim("b", count=9)]
    # Entries that no job stands behind are taken out of the stream by who reads them.
    assert not await trial.source.start("b", [other])
    assert not await trial.source.start("a", await waiting)
    assert [group["pending"] for group in trial.groups().values()] == [0, 0]


async def test_a_job_whose_picture_the_server_lost_is_dead_with_that_reason(trial: RedisTrial) -> None:
    ids = await enqueued(trial, 2)
    trial.client.delete(trial.keys.of("payload", ids[0]))
    assert ids_of(await begun(trial)) == [ids[1]]
    job = await trial.desk.job(ids[0])
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DEAD, 1)
    assert job.problem is not None
    assert job.problem.code == "payload-lost"
    assert (await trial.desk.requeue(ids[0])) == job


async def test_a_start_whose_answer_was_lost_on_the_way_may_be_sent_again(trial: RedisTrial) -> None:
    await enqueued(trial)
    (delivery,) = await trial.source.read("a", count=1)
    call = ("start", "a", 3, 1000, 99, 99, delivery.job_id, delivery.entry, delivery.priority.value, "token")
    assert await trial.server.run(*call) == await trial.server.run(*call)
    job = await trial.desk.job(delivery.job_id)
    assert job is not None
    assert job.attempts == 1
    assert (await trial.desk.counts()).redelivered == 0


async def test_each_worker_looks_on_where_it_stopped(trial: RedisTrial) -> None:
    await enqueued(trial, 20)
    await trial.source.read("dead", count=20)
    await trial.later(LEASE + 1)
    others = [trial.source, RedisSource(trial.server, QueueRules())]
    found = [one for _ in range(10) for source in others for one in await source.reclaim("b", count=1)]
    assert len(set(ids_of(found))) == 20


async def test_autoscalers_may_look_before_the_first_job(trial: RedisTrial) -> None:
    """A look at the pending entries of a stream that is not there fails."""
    await trial.desk.expire()
    for priority in Priority:
        pending = trial.client.xpending(trial.keys.stream(priority), queue_keys.CONSUMER_GROUP)
        assert pending["pending"] == 0
    assert await trial.undelivered() == dict.fromkeys(Priority, 0)


async def test_all_keys_lie_under_one_hash_tag(trial: RedisTrial) -> None:
    ids = await enqueued(trial, 3, reply_to="gateway", idempotency_key="k")
    _, *others = await begun(trial)
    for assignment in others:
        await finish(trial, assignment)
    await trial.desk.acknowledge(ids[2])
    await trial.desk.cancel((await enqueued(trial))[0])
    await trial.source.beat(WorkerInfo(name="lost", state=WorkerState.READY, host="h", pid=1))
    await trial.later(LEASE + 1)
    await trial.desk.expire()
    await trial.source.beat(WorkerInfo(name="there", state=WorkerState.READY, host="h", pid=2))
    action = FleetAction(at=1.0, who="", what="", command="")
    await RedisFleetLog(trial.server).add(action)
    names = {key.decode() for key in trial.client.keys("*")}
    assert {name.removeprefix(trial.keys.prefix).partition(":")[0] for name in names} == {
        *queue_keys.KINDS,
        *queue_keys.SINGLE,
    }
    assert all(name.startswith("{heliograph:tried}:") for name in names)
    trial.client.delete(
        trial.keys.single("actions")
    )  # what was done to a fleet stays, whatever becomes of jobs


async def test_two_queues_of_a_server_do_not_meet(trial: RedisTrial) -> None:
    other = RedisServer(trial.url, "other")
    await enqueued(trial)
    assert not await RedisSource(other, QueueRules()).read("a", count=1)
    await other.close()
    for key in trial.client.keys("{heliograph:other}*"):
        trial.client.delete(key)


async def test_the_stream_of_events_is_capped(trial: RedisTrial) -> None:
    with trial.client.pipeline(transaction=False) as pipe:
        for _ in range(12_000):
            pipe.xadd(trial.keys.single("events"), {"kind": "old"})
        pipe.execute()
    await enqueued(trial)
    assert trial.client.xlen(trial.keys.single("events")) < 10_200
