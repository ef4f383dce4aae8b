"""What a queue promises when its server is full, restarted, gone, or not the right one."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace

import pytest

from fault_proxy import fault_proxy
from heliograph.adapters.queue import redis_server
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core import errors
from heliograph.core.jobs import JobProblem, JobResult, JobState, Outcome, Priority, Verdict
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from queue_servers import QueueServer, queue_server
from queue_trials import (
    RESULT,
    RedisTrial,
    begun,
    enqueued,
    finish,
    ids_of,
    new_group,
    one_begun,
)

pytestmark = pytest.mark.anyio
FAILED = JobProblem(code="engine-failed", message="The engine failed.")
BULK, INTERACTIVE = Priority.BULK, Priority.INTERACTIVE


@pytest.fixture
def trial(server_trial: RedisTrial) -> RedisTrial:
    return server_trial


def fill(trial: RedisTrial, share: float = 1.5) -> None:
    """Makes the server use such a share of its memory limit."""
    used = trial.client.info("memory")["used_memory"]
    trial.client.config_set("maxmemory", int(used / share))


# A full server


async def test_a_full_server_refuses_new_jobs_and_lets_all_others_end(trial: RedisTrial) -> None:
    ids = await enqueued(trial, 8)
    done, failed, handed_back, retried, lost, *_ = await begun(trial, "a", count=6)
    (kept,) = (await begun(trial, "b", count=1))[:1]
    fill(trial)
    for priority in Priority:
        with pytest.raises(errors.QueueFull):
            await enqueued(trial, priority=priority)
    assert list(await trial.source.renew("a", [done])) == [Verdict.MINE]
    outcomes = [Outcome(assignment=done, answer=RESULT), Outcome(assignment=failed, answer=FAILED)]
    assert list(await trial.source.finish("a", outcomes)) == [True, True]
    await trial.source.hand_back("a", [handed_back])
    assert await trial.source.retry("a", retried, FAILED)
    assert await trial.source.release("a") == 2
    deliveries = [*await trial.source.reclaim("c", count=9), *await trial.source.read("c", count=9)]
    started = await trial.source.start("c", deliveries)
    assert len(started) == 5
    assert not await finish(trial, lost, "a")
    assert all([await finish(trial, one, "c") for one in started])
    job = await trial.desk.cancel(ids_of([kept])[0])
    assert job is not None
    assert job.state is JobState.CANCELLED
    assert (await trial.desk.counts()).backlog[BULK].running == 0
    job = await trial.desk.acknowledge(ids[0])
    assert job is not None
    assert job.is_expired
    trial.client.config_set("maxmemory", 0)
    await trial.later(7200)
    fill(trial)
    assert await trial.desk.expire() == 7


async def test_a_full_server_tells_what_it_has(trial: RedisTrial) -> None:
    group = await trial.desk.enqueue(new_group(2))
    (done,) = await begun(trial, "a", count=1)
    await finish(trial, done, "a")
    info = WorkerInfo(name="a", state=WorkerState.READY, host="here", pid=1)
    await trial.source.beat(info)
    job_ids, done_id = group.job_ids, done.delivery.job_id
    fill(trial)
    assert await trial.desk.result(done_id) == RESULT
    known = await trial.desk.group(group.id)
    assert known is not None
    assert known.job_ids == job_ids
    assert [job.id for job in await trial.desk.group_jobs(group.id)] == list(job_ids)
    assert [job.id for job in (await trial.desk.jobs("me")).jobs] == list(reversed(job_ids))
    assert [worker.name for worker in await trial.desk.workers()] == ["a"]
    assert (await trial.desk.events("0-0")).events
    await trial.source.release("a")


async def test_a_full_server_stores_nothing_of_a_request(trial: RedisTrial) -> None:
    fill(trial)
    with pytest.raises(errors.QueueFull):
        await enqueued(trial, 3, priority=INTERACTIVE, idempotency_key="k")
    assert trial.client.keys("*") == []
    assert not await trial.source.read("a", count=1)
    trial.client.config_set("maxmemory", 0)
    assert (await trial.desk.enqueue(new_group(idempotency_key="k"))).is_new


async def test_admission_stops_at_a_share_of_the_servers_memory(trial: RedisTrial) -> None:
    fill(trial, 0.65)
    for priority in Priority:
        with pytest.raises(errors.QueueFull, match="memory"):
            await enqueued(trial, priority=priority)
    fill(trial, 0.57)  # below 60 %, above nine tenths of it
    await enqueued(trial, priority=INTERACTIVE)
    with pytest.raises(errors.QueueFull, match="memory"):
        await enqueued(trial)
    fill(trial, 0.5)
    await enqueued(trial)


async def test_bulk_waits_while_results_take_a_servers_memory(trial: RedisTrial) -> None:
    done, ids = await one_begun(trial, "a"), await enqueued(trial)
    outcome = Outcome(assignment=done, answer=JobResult(data=bytes(10_000), media_type="image/png"))
    await trial.source.finish("a", [outcome])
    fill(trial, 0.95)
    assert not await trial.source.read("a", count=9, wait_seconds=0.02)
    fill(trial, 0.5)
    assert ids_of(await trial.source.read("a", count=9)) == list(ids)
    await trial.later(11)
    fill(trial, 0.95)
    assert not await trial.source.reclaim("b", count=9)
    await trial.desk.acknowledge(ids_of([done])[0])
    assert ids_of(await trial.source.reclaim("b", count=9)) == list(ids)


# A server that restarts, is gone, is slow


async def test_a_server_that_was_killed_has_lost_nothing(trial: RedisTrial, server: QueueServer) -> None:
    ids = await enqueued(trial, 6)
    done, running, *_ = await begun(trial, "a", count=3)
    await finish(trial, done, "a")
    await trial.desk.cancel(ids[5])
    before, groups = await trial.desk.counts(), trial.groups()[BULK]
    server.kill()
    server.start()
    await trial.desk.expire()
    assert {name: trial.groups()[BULK][name] for name in ("lag", "pending")} == {"lag": 3, "pending": 2}
    assert trial.groups()[BULK]["last-delivered-id"] == groups["last-delivered-id"]
    assert replace(await trial.desk.counts(), backlog={}) == replace(before, backlog={})
    assert list(await trial.source.renew("a", [running])) == [Verdict.MINE]
    assert ids_of(await trial.source.read("b", count=9)) == list(ids[3:])
    assert await finish(trial, running, "a")
    assert await trial.desk.result(ids[0]) == RESULT


async def test_the_lag_is_right_again_after_a_restart(trial: RedisTrial, server: QueueServer) -> None:
    for waiting in (0, 3):
        await enqueued(trial, 40 + waiting)
        for one in await begun(trial, "a", count=40):
            await finish(trial, one, "a")
        server.kill()
        server.start()
        await trial.desk.expire()
        assert (await trial.undelivered())[BULK] == waiting
        await enqueued(trial, 2)
        assert (await trial.undelivered())[BULK] == waiting + 2
        assert len(await trial.source.read("a", count=99)) == waiting + 2
        assert (await trial.undelivered())[BULK] == 0


async def test_scripts_that_the_server_forgot_are_sent_again(trial: RedisTrial) -> None:
    for _ in range(2):
        trial.client.script_flush()
        await enqueued(trial)
        trial.client.script_flush()
        deliveries = await trial.source.read("a", count=1)
        trial.client.script_flush()
        (assignment,) = await trial.source.start("a", deliveries)
        trial.client.script_flush()
        assert await finish(trial, assignment, "a")
        trial.client.script_flush()
        assert (await trial.desk.cancel(assignment.delivery.job_id)) is not None


async def test_cut_connections_are_made_again(trial: RedisTrial) -> None:
    waiting = asyncio.create_task(trial.source.read("a", count=1, wait_seconds=4.0))
    await asyncio.sleep(0.02)
    for _ in range(3):
        trial.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        ids = await enqueued(trial)
        await asyncio.sleep(0.1)  # a command is sent once more, not twice
    assert ids_of(await waiting)
    assert await trial.desk.job(ids[0]) is not None


async def test_a_server_that_is_gone_is_told_and_found_again(trial: RedisTrial, server: QueueServer) -> None:
    ids = await enqueued(trial)
    server.kill()
    begin = time.monotonic()
    for call in (trial.desk.job(ids[0]), trial.desk.counts(), trial.desk.enqueue(new_group())):
        with pytest.raises(errors.QueueUnavailable, match="does not answer"):
            await call
    with pytest.raises(errors.QueueUnavailable):
        await trial.source.read("a", count=1, wait_seconds=4.0)
    assert time.monotonic() - begin < 3.0
    server.start()
    assert ids_of(await trial.source.read("a", count=1)) == list(ids)


async def test_a_server_that_hangs_is_not_waited_for(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.1)
    ids = await enqueued(trial)
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(errors.QueueUnavailable, match=r"does not answer\.$") as caught:
            await trial.desk.job(ids[0])
        assert "too long" in caught.value.reason
    finally:
        server.process.send_signal(signal.SIGCONT)
    monkeypatch.undo()
    job = await trial.desk.job(ids[0])  # and no answer of the old call is taken for that of this one
    assert job is not None
    assert job.id == ids[0]
    assert await trial.desk.result(ids[0]) is None


# A server that is not the right one


async def test_a_wrong_address_is_told_at_once() -> None:
    for url in ("localhost:6379", "http://localhost", "redis://localhost:port", "redis://localhost?secret=1"):
        with pytest.raises(errors.SettingsInvalid, match="address"):
            RedisServer(url, "tried")


@pytest.mark.parametrize("password", ["sec/ret", "sec#ret", "sec?ret", "[secret", "sec ret/"])
async def test_a_wrong_address_does_not_tell_the_password(password: str) -> None:
    with pytest.raises(errors.SettingsInvalid) as caught:
        RedisServer(f"redis://ann:{password}@localhost:6379/0", "tried")
    assert "sec" not in caught.value.message
    assert "redis://localhost:6379/0" in caught.value.message
    assert caught.value.__suppress_context__


async def test_a_wrong_password_is_told() -> None:
    with queue_server("valkey", "--requirepass", "right") as locked:
        for password in ("", "&password=wrong"):
            server = RedisServer(f"{locked.url}?db=0{password}", "tried")
            with pytest.raises(errors.SettingsInvalid, match="password"):
                await server.check()
            with pytest.raises(errors.QueueUnavailable, match=r"refuses the user or password\.$"):
                await server.run("counts")
            await server.close()
        for end, given in (("?password=right", None), ("", "right")):
            server = RedisServer(locked.url + end, "tried", given)
            await server.check()
            await server.close()


async def test_a_server_that_throws_keys_away_is_refused(trial: RedisTrial) -> None:
    await trial.server.check()
    trial.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(errors.SettingsInvalid, match="noeviction"):
            await trial.server.check()
    finally:
        trial.client.config_set("maxmemory-policy", "noeviction")


async def test_a_check_of_a_server_that_is_gone(
    trial: RedisTrial, server: QueueServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    with pytest.raises(errors.QueueUnavailable) as caught:
        await trial.server.check()
    assert "socket" in caught.value.reason
    assert caplog.messages == []
    assert trial.server.is_durable is None


async def test_a_check_finds_out_whether_the_server_keeps_what_it_is_told(
    trial: RedisTrial, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        for answer, is_durable in (("yes", True), ("no", False)):
            assert caplog.messages == []
            trial.client.config_set("appendonly", answer)
            await trial.server.check()
            assert trial.server.is_durable is is_durable
    finally:
        trial.client.config_set("appendonly", "yes")
    assert caplog.messages == ["queue is lost when its server ends"]


# What clients and logs are told


async def test_clients_are_not_told_where_the_server_is_and_the_log_is_told_now_and_then(
    trial: RedisTrial, server: QueueServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    for _ in range(3):
        with pytest.raises(errors.QueueUnavailable) as caught:
            await trial.desk.counts()
        assert caught.value.message == "The queue's server does not answer."
        assert caught.value.__cause__ is not None
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("heliograph.queue", "WARNING")
    assert server.url.removeprefix("unix://") in vars(record)["reason"]


async def test_what_the_server_says_is_not_told_to_clients(trial: RedisTrial) -> None:
    trial.client.set(trial.keys.of("job", "wrong"), "a string")
    with pytest.raises(errors.QueueUnavailable) as caught:
        await trial.desk.job("wrong")
    assert caught.value.message == "The queue's server refuses."
    assert "WRONGTYPE" in caught.value.reason or "wrong kind" in caught.value.reason
    trial.client.delete(trial.keys.of("job", "wrong"))


async def test_a_large_result_over_a_slow_link_takes_its_time(
    trial: RedisTrial, server: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = JobResult(data=bytes(3_000_000), media_type="image/png")
    assignment = await one_begun(trial)
    await trial.source.finish("worker", [Outcome(assignment=assignment, answer=result)])
    monkeypatch.setattr(redis_server, "ANSWER_SECONDS", 0.5)
    with fault_proxy(f"{server.folder}/socket") as proxy:
        proxy.slow(bytes_per_second=2_000_000)
        far = RedisServer(proxy.url, "tried")
        desk = RedisDesk(far, QueueRules())
        assert await desk.result(assignment.delivery.job_id) == result
        await far.close()
