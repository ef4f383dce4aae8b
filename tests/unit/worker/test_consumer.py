"""What a worker does with its queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from unittest.mock import patch

from heliograph.core import errors
from heliograph.core.jobs import Assignment, Delivery, JobResult, JobState, Priority
from heliograph.worker import outcomes
from heliograph.worker.consumer import ConsumerRules
from heliograph.worker.holding import Capacity
from unit.worker.consumers import RESULT, Away, Bench, Engine, Running, in_fake_time


def fake_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        in_fake_time(test)

    return run


@fake_time
async def test_jobs_are_done_and_counted() -> None:
    bench, engine = Bench(), Engine()
    ids = await bench.add(*(f"p{n}" for n in range(20)))
    running = Running(bench.consumer(engine))
    assert set(await bench.until_final(ids)) == {JobState.DONE}
    await running.stop()
    assert running.consumer.finished == 20
    assert running.consumer.holding == 0
    assert sorted(engine.done) == sorted(f"p{n}" for n in range(20))


@fake_time
async def test_a_picture_at_fault_fails_at_once_and_an_engine_gets_three_attempts() -> None:
    bench = Bench()
    broken, engine_failure, bug, fine = await bench.add("broken", "engine", "bug", "fine")
    running = Running(bench.consumer(Engine()))
    states = await bench.until_final([broken, engine_failure, bug, fine])
    await running.stop()
    assert states == [JobState.FAILED, JobState.DEAD, JobState.DEAD, JobState.DONE]
    told = [(await bench.job(job_id)) for job_id in (broken, engine_failure, bug)]
    assert [job.attempts for job in told] == [1, 3, 3]
    assert [job.problem.code for job in told if job.problem] == [
        "picture-broken",
        "engine-failed",
        "internal",
    ]


@fake_time
async def test_what_could_not_be_tried_goes_back_and_does_not_count() -> None:
    bench, engine = Bench(), Engine()
    (busy,) = await bench.add("busy")
    running = Running(bench.consumer(engine))
    await asyncio.sleep(20)
    job = await bench.job(busy)
    await running.stop()
    assert not job.state.is_final
    assert job.attempts <= 1
    assert 3 <= engine.begun <= 12


@fake_time
async def test_a_worker_without_the_model_costs_no_job_its_life() -> None:
    bench = Bench()
    ids = await bench.add(*(f"unknown{n}" for n in range(50)))

    class Good(Engine):
        async def __call__(self, assignment: Assignment) -> JobResult:
            await asyncio.sleep(0.1)
            return RESULT

    workers = [
        Running(bench.consumer(Good(), "good", models={"m"})),
        Running(bench.consumer(Engine(), "bad")),
    ]
    assert set(await bench.until_final(ids, seconds=200)) == {JobState.DONE}
    for running in workers:
        await running.stop()


@fake_time
async def test_jobs_that_nobody_can_do_hold_up_no_other() -> None:
    bench, engine = Bench(), Engine(seconds=0.01)
    unknown = await bench.add(*(f"unknown{n}" for n in range(40)))
    running = Running(bench.consumer(engine))
    await asyncio.sleep(100)  # by now each has been read and handed back
    begun = bench.clock()
    for number in range(20):
        await bench.until_final(await bench.add(f"p{number}"))
    assert bench.clock() - begun < 5
    assert {(await bench.job(job_id)).attempts for job_id in unknown} == {0}
    await running.stop()


@fake_time
async def test_a_flood_of_jobs_that_nobody_can_do_delays_no_other() -> None:
    bench, engine = Bench(), Engine(seconds=0.01)
    running = Running(bench.consumer(engine))
    await bench.add(*(f"unknown{n}" for n in range(200)))
    await bench.until_final(await bench.add("p", priority=Priority.INTERACTIVE), seconds=0.5)
    await bench.until_final(await bench.add("q"), seconds=1)
    await running.stop()


@fake_time
async def test_what_was_given_back_or_lost_does_not_wait_behind_jobs_that_nobody_can_do() -> None:
    bench, engine = Bench(), Engine(seconds=0.01)
    unknown = await bench.add(*(f"unknown{n}" for n in range(40)))
    running = Running(bench.consumer(engine))
    await asyncio.sleep(20)
    begun_once = engine.begun
    ids = await bench.add("given", "lost")
    given, _ = await bench.source.read("gone", count=2)
    await bench.source.hand_back("gone", [given])
    await bench.until_final(ids[:1], seconds=4)
    await bench.until_final(ids[1:], seconds=15)
    await asyncio.sleep(100)
    assert engine.begun - begun_once == 2, "nobody tries what waits for a model again and again"
    assert {(await bench.job(job_id)).state for job_id in unknown} == {JobState.QUEUED}
    await running.stop()


@fake_time
async def test_what_waits_for_a_model_is_done_once_it_is_there() -> None:
    bench, models = Bench(), set[str]()
    ids = await bench.add(*(f"p{n}" for n in range(40)))

    async def perform(assignment: Assignment) -> JobResult:
        if assignment.model not in models:
            raise errors.ModelUnknown("No such model is served here.")
        return RESULT

    running = Running(bench.consumer(perform, models=models))
    await asyncio.sleep(20)
    models.add("m")
    assert set(await bench.until_final(ids, seconds=5)) == {JobState.DONE}
    await running.stop()


@fake_time
async def test_a_model_that_is_named_and_fails_to_be_there_is_tried_now_and_then() -> None:
    bench, engine = Bench(), Engine()
    await bench.add("unknown")
    running = Running(bench.consumer(engine, models={"m"}))
    await asyncio.sleep(20)
    assert 3 <= engine.begun <= 12
    await running.stop()


@fake_time
async def test_a_job_whose_model_was_taken_away_fails_at_once_with_the_reason() -> None:
    bench = Bench()

    async def perform(assignment: Assignment) -> JobResult:
        raise errors.ModelGone("It is not served any more.")

    running = Running(bench.consumer(perform))
    (job_id,) = await bench.add("a")
    assert await bench.until_final([job_id], seconds=1) == [JobState.FAILED]
    problem = (await bench.job(job_id)).problem
    await running.stop()
    assert problem is not None
    assert problem.code == "model-unknown"


@fake_time
@patch.object(outcomes, "PATIENCE_SECONDS", 10.0)
async def test_an_outcome_that_is_never_taken_holds_up_no_other() -> None:
    bench, engine = Bench(lease_seconds=2), Engine(seconds=0.01)
    source = Away(bench.queue)
    source.refuses = "large"
    (large,) = await bench.add("large")
    others = await bench.add(*(f"p{n}" for n in range(50)))
    rules = ConsumerRules(min_held=2, max_held=4, renew_seconds=0.6, reclaim_seconds=0.4)
    running = Running(bench.consumer(engine, source=source, rules=rules))
    assert set(await bench.until_final(others, seconds=60)) == {JobState.DONE}
    assert await bench.until_final([large], seconds=200) == [JobState.DEAD]
    await running.stop()
    assert (await bench.job(large)).attempts == 3


@fake_time
async def test_the_job_of_a_killed_worker_is_done_by_another_alone() -> None:
    bench, first, second = Bench(), Engine(seconds=1000), Engine()
    lost = await bench.add("a", "b")
    killed = Running(bench.consumer(first, "w1"))
    await asyncio.sleep(1)
    await killed.kill()
    later = await bench.add(*(f"p{n}" for n in range(30)))
    running = Running(bench.consumer(second, "w2"))
    assert set(await bench.until_final([*lost, *later])) == {JobState.DONE}
    await running.stop()
    assert [(await bench.job(job_id)).attempts for job_id in lost] == [2, 2]
    assert second.together["a"] == second.together["b"] == set()
    assert any(second.together[f"p{n}"] for n in range(30))


@fake_time
async def test_others_get_a_turn_between_jobs_that_run_alone() -> None:
    bench, engine = Bench(), Engine(seconds=1)
    await bench.add("a", "b")
    killed = Running(bench.consumer(Engine(seconds=1000), "w1"))
    await asyncio.sleep(1)
    await killed.kill()
    await asyncio.sleep(15)
    later = await bench.add(*(f"p{n}" for n in range(10)))
    running = Running(bench.consumer(engine, "w2"))
    await bench.until_final(later)
    await running.stop()
    between = engine.done.index("b") - engine.done.index("a")
    assert between > 1, engine.done


@fake_time
async def test_leases_are_kept_however_long_a_job_takes() -> None:
    bench, engine = Bench(), Engine(seconds=100)
    (slow,) = await bench.add("slow")
    workers = [Running(bench.consumer(engine, f"w{n}")) for n in range(3)]
    assert await bench.until_final([slow], seconds=150) == [JobState.DONE]
    for running in workers:
        await running.stop()
    assert (await bench.job(slow)).attempts == 1
    assert engine.done == ["slow"]


@fake_time
async def test_a_cancelled_job_is_not_worked_on_any_longer() -> None:
    bench, engine = Bench(), Engine(seconds=1000)
    (job_id,) = await bench.add("slow")
    running = Running(bench.consumer(engine))
    await asyncio.sleep(1)
    await bench.desk.cancel(job_id)
    await asyncio.sleep(5)
    assert running.consumer.holding == 0
    assert engine._now == []
    await running.stop()


@fake_time
async def test_a_worker_that_stops_finishes_what_it_can_and_hands_back_the_rest() -> None:
    bench = Bench()
    ids = await bench.add("quick", "slow")

    class Mixed(Engine):
        async def __call__(self, assignment: Assignment) -> JobResult:
            self.seconds = 2 if assignment.name == "quick" else 1000
            return await super().__call__(assignment)

    running = Running(bench.consumer(Mixed()))
    await asyncio.sleep(1)
    begun = bench.clock()
    await running.stop()
    assert 4 <= bench.clock() - begun <= 6
    quick, slow = [await bench.job(job_id) for job_id in ids]
    assert quick.state is JobState.DONE
    assert (slow.state, slow.attempts) == (JobState.QUEUED, 0)
    again = Running(bench.consumer(Engine(), "w2"))
    assert await bench.until_final([slow.id], seconds=5) == [JobState.DONE]
    await again.stop()


@fake_time
async def test_an_idle_worker_stops_at_once() -> None:
    bench = Bench()
    running = Running(bench.consumer(Engine()))
    await asyncio.sleep(3)
    begun = bench.clock()
    await running.stop()
    assert bench.clock() - begun < 0.1


@fake_time
async def test_outcomes_wait_for_a_server_that_is_away() -> None:
    bench, engine = Bench(), Engine(seconds=1)
    source = Away(bench.queue)
    ids = await bench.add("a", "b", "c")
    running = Running(bench.consumer(engine, source=source))
    await asyncio.sleep(0.5)
    source.is_away = True
    await asyncio.sleep(5)
    connected_before = running.consumer.is_connected
    source.is_away = False
    assert set(await bench.until_final(ids)) == {JobState.DONE}
    assert (connected_before, running.consumer.is_connected) == (False, True)
    await running.stop()
    assert sorted(engine.done) == ["a", "b", "c"]


@fake_time
async def test_jobs_that_could_not_be_begun_are_begun_as_soon_as_the_server_is_back() -> None:
    bench, engine = Bench(), Engine(seconds=0.1)

    class Breaking(Away):
        async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
            if not engine.begun:
                self.is_away = True
                asyncio.get_running_loop().call_later(1, setattr, self, "is_away", False)
            return await super().start(worker, deliveries)

    running = Running(bench.consumer(engine, source=Breaking(bench.queue)))
    ids = await bench.add("a", "b")
    for _ in range(3):
        await asyncio.sleep(0.5)
        engine.begun += 1
    assert set(await bench.until_final(ids, seconds=5)) == {JobState.DONE}
    await running.stop()
    assert [(await bench.job(job_id)).attempts for job_id in ids] == [1, 1]


@fake_time
async def test_a_worker_whose_queue_is_away_stops_in_time() -> None:
    bench = Bench()
    source = Away(bench.queue)
    (job_id,) = await bench.add("a")
    running = Running(bench.consumer(Engine(seconds=1), source=source))
    await asyncio.sleep(0.5)
    source.is_away = True
    begun = bench.clock()
    await running.stop()
    assert bench.clock() - begun < 15
    assert not (await bench.job(job_id)).state.is_final


@fake_time
async def test_it_holds_no_more_than_half_a_second_of_work() -> None:
    bench, most = Bench(), 0
    await bench.add(*(f"p{n}" for n in range(400)))

    class Serial(Engine):
        lock = asyncio.Lock()

        async def __call__(self, assignment: Assignment) -> JobResult:
            async with self.lock:
                return await super().__call__(assignment)

    engine = Serial(seconds=0.05)
    running = Running(bench.consumer(engine, rules=ConsumerRules(min_held=2, max_held=64)))
    await asyncio.sleep(5)
    for _ in range(50):
        await asyncio.sleep(0.1)
        most = max(most, running.consumer.holding)
    await running.stop()
    assert 5 <= most <= 12


@fake_time
async def test_who_is_waited_for_gets_through_a_flood() -> None:
    bench, engine = Bench(), Engine(seconds=0.1)
    await bench.add(*(f"p{n}" for n in range(2000)))
    running = Running(bench.consumer(engine))
    await asyncio.sleep(2)
    (urgent,) = await bench.add("urgent", priority=Priority.INTERACTIVE)
    begun = bench.clock()
    await bench.until_final([urgent])
    assert bench.clock() - begun < 1.0
    await running.stop()


def test_capacity_is_bounded_both_ways() -> None:
    capacity = Capacity(seconds=0.5, low=3, high=64)
    assert capacity.jobs == 3
    for _ in range(50):
        capacity.note(0.001, 1)
    assert capacity.jobs == 64
    for _ in range(50):
        capacity.note(10.0, 1)
    assert capacity.jobs == 3
