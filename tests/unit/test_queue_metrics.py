"""The queue's numbers as Prometheus reads them."""

from __future__ import annotations

import pytest

from heliograph.adapters.metrics.prometheus import PrometheusMetrics
from heliograph.adapters.queue.memory import MemoryQueue
from heliograph.adapters.queue.memory_desk import MemoryDesk
from heliograph.core import errors
from heliograph.core.jobs import NewGroup, NewJob, QueueCounts
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.upkeep import QueueView

pytestmark = pytest.mark.anyio


def text(metrics: PrometheusMetrics) -> str:
    return metrics.render()[0].decode()


class Desk(MemoryDesk):
    is_away = False

    async def counts(self) -> QueueCounts:
        if self.is_away:
            raise errors.QueueUnavailable
        return await super().counts()

    async def workers(self) -> list[WorkerInfo]:
        return [WorkerInfo(name="w", state=WorkerState.BUSY, host="h", pid=1)]


async def test_they_are_of_the_moment_of_the_scrape() -> None:
    metrics = PrometheusMetrics()
    desk = Desk(MemoryQueue(QueueRules(), lambda: 1000.0))
    view = QueueView(desk, metrics)
    assert "heliograph_queue" not in text(metrics)
    await view.refresh()
    assert 'heliograph_queue_jobs_waiting{priority="bulk"} 0.0' in text(metrics)
    job = NewJob(id="j", name="n", model="m", payload=b"12345")
    await desk.enqueue(NewGroup(id="g", owner="", jobs=(job,)))
    await view.refresh()
    shown = text(metrics)
    assert 'heliograph_queue_jobs_waiting{priority="bulk"} 1.0' in shown
    assert "heliograph_queue_stored_bytes 5.0" in shown
    assert "heliograph_queue_jobs_accepted_total 1.0" in shown
    assert 'heliograph_workers{state="busy"} 1.0' in shown
    desk.is_away = True
    await view.refresh()
    shown = text(metrics)
    assert "heliograph_queue_up 0.0" in shown
    assert "heliograph_queue_jobs_waiting" not in shown
