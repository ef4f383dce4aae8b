"""Blocking work in threads: every result is received once or undone once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from heliograph.serving import threads as module
from heliograph.serving.threads import WorkerThreads

pytestmark = pytest.mark.anyio


@pytest.fixture
def threads() -> Iterator[WorkerThreads]:
    workers = WorkerThreads(2, name="test")
    yield workers
    workers.close()


async def settle(threads: WorkerThreads) -> None:
    """Returns when everything that was handed in before is delivered: both threads meet."""
    meeting = threading.Barrier(2)
    await asyncio.gather(threads.run(meeting.wait), threads.run(meeting.wait))


async def test_results_and_errors_come_back(threads: WorkerThreads) -> None:
    assert await threads.run(lambda: threading.current_thread().name) in ("test-0", "test-1")
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 / 0)


async def test_many_pieces_of_work_each_get_their_own_result(threads: WorkerThreads) -> None:
    results = await asyncio.gather(*(threads.run(lambda n=n: n * n) for n in range(500)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert results == [n * n for n in range(500)]


async def test_work_cancelled_before_it_began_does_not_begin(threads: WorkerThreads) -> None:
    hold, skipped, begun = threading.Event(), threading.Event(), threading.Event()
    blocking = [asyncio.ensure_future(threads.run(hold.wait)) for _ in range(2)]
    waiting = asyncio.ensure_future(threads.run(begun.set, not_started=skipped.set))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    hold.set()
    await asyncio.gather(*blocking)
    assert await threads.run(lambda: skipped.wait(5))
    assert not begun.is_set()


async def test_the_result_of_work_cancelled_while_it_ran_is_undone(threads: WorkerThreads) -> None:
    running, hold = threading.Event(), threading.Event()
    undone: list[str] = []

    def work() -> str:
        running.set()
        hold.wait(5)
        return "result"

    task = asyncio.ensure_future(threads.run(work, undo=undone.append))
    assert await threads.run(lambda: running.wait(5))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert undone == []
    hold.set()
    await settle(threads)
    assert undone == ["result"]


async def test_a_result_delivered_at_the_moment_of_the_cancellation_is_undone(threads: WorkerThreads) -> None:
    undone: list[int] = []
    received = 0
    for attempt in range(300):
        done = threading.Event()

        def work(attempt: int = attempt, done: threading.Event = done) -> int:
            done.set()
            return attempt

        task = asyncio.ensure_future(threads.run(work, undo=undone.append))
        await asyncio.sleep(0)
        done.wait(5)
        if attempt % 3:
            await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        received += outcome == attempt
    await settle(threads)
    assert len(undone) == len(set(undone))
    assert received + len(undone) == 300


async def test_close_finishes_what_was_handed_in() -> None:
    workers = WorkerThreads(1, name="closing")
    tasks = [asyncio.ensure_future(workers.run(lambda: 7)) for _ in range(20)]
    await asyncio.sleep(0)
    workers.close()
    assert await asyncio.gather(*tasks) == [7] * 20


async def test_a_thread_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.1)
    workers, begun, hold = WorkerThreads(3, name="hanging"), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        hold.wait(30)

    task = asyncio.ensure_future(workers.run(hang))
    assert await workers.run(lambda: begun.wait(5))
    workers.close()
    (record,) = caplog.records
    assert (record.message, record.__dict__["pool"], record.__dict__["threads"]) == (
        "threads do not end",
        "hanging",
        1,
    )
    hold.set()
    await task
