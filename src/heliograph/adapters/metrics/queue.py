"""The queue in numbers, for Prometheus: what it was when it was last looked at, which is at the scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from heliograph.core.jobs import QueueCounts
from heliograph.core.workers import WorkerInfo, WorkerState


class QueueCollector(Collector):
    """Tells of a queue from the first time that it was looked at; every process of a queue tells the same."""

    def __init__(self) -> None:
        self._was_seen = False
        self._counts: QueueCounts | None = None
        self._workers: Sequence[WorkerInfo] = ()

    def see(self, counts: QueueCounts | None, workers: Sequence[WorkerInfo]) -> None:
        """How it is now; None if it does not answer."""
        self._was_seen = True
        self._counts, self._workers = counts, workers

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry."""
        if not self._was_seen:
            return
        up = 0 if self._counts is None else 1
        yield GaugeMetricFamily("heliograph_queue_up", "1 while the queue answers.", value=up)
        if self._counts is not None:
            yield from _backlog(self._counts)
            yield from _totals(self._counts)
            yield _workers(self._workers)


def _backlog(counts: QueueCounts) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "heliograph_queue_jobs_waiting", "Jobs that wait for a worker.", labels=("priority",)
    )
    running = GaugeMetricFamily(
        "heliograph_queue_jobs_running", "Jobs that workers have begun.", labels=("priority",)
    )
    oldest = GaugeMetricFamily(
        "heliograph_queue_oldest_job_seconds",
        "Since when the next job to be read waits; 0 if none does.",
        labels=("priority",),
    )
    for priority, backlog in counts.backlog.items():
        waiting.add_metric((priority.value,), backlog.waiting)
        running.add_metric((priority.value,), backlog.running)
        oldest.add_metric((priority.value,), backlog.oldest_waiting_seconds)
    yield from (waiting, running, oldest)
    yield GaugeMetricFamily(
        "heliograph_queue_stored_bytes", "Bytes of payloads and stored results.", value=counts.stored_bytes
    )


def _totals(counts: QueueCounts) -> Iterator[Metric]:
    """Since the queue was made. A job that is requeued leaves its state again, so those are gauges."""
    yield CounterMetricFamily("heliograph_queue_jobs_accepted", "Jobs taken in.", value=counts.accepted)
    finished = GaugeMetricFamily(
        "heliograph_queue_jobs_finished", "Jobs that are final, by state.", labels=("state",)
    )
    for state, number in counts.finished.items():
        finished.add_metric((state.value,), number)
    yield finished
    yield CounterMetricFamily(
        "heliograph_queue_jobs_redelivered",
        "Jobs begun again because their worker was lost.",
        value=counts.redelivered,
    )
    yield CounterMetricFamily(
        "heliograph_queue_results_expired",
        "Results removed: after their time, or acknowledged.",
        value=counts.expired,
    )


def _workers(workers: Sequence[WorkerInfo]) -> Metric:
    family = GaugeMetricFamily("heliograph_workers", "Workers by state.", labels=("state",))
    by_state = Counter(worker.state for worker in workers)
    for state in WorkerState:
        family.add_metric((state.value,), by_state[state])
    return family
