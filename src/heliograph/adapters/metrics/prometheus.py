"""Every metric of Heliograph, for Prometheus: base units, bounded label values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from heliograph.adapters.metrics.queue import QueueCollector
from heliograph.core.jobs import QueueCounts
from heliograph.core.predictions import Timings
from heliograph.core.workers import WorkerInfo

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
PHASES = ("queue", "decode", "infer", "encode")


class PrometheusMetrics:
    """Implements `heliograph.core.ports.Metrics`. One registry an instance, so tests do not share."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._queue = QueueCollector()
        registry.register(self._queue)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        seconds = partial(Histogram, registry=registry, buckets=SECONDS)
        self._requests = counter(
            "heliograph_http_requests", "HTTP requests answered.", ("route", "method", "status")
        )
        self._request_seconds = seconds(
            "heliograph_http_request_seconds", "From a request's head to its answer.", ("route", "method")
        )
        self._in_flight = gauge("heliograph_requests_in_flight", "Requests that hold a permit.")
        self._rejected = counter("heliograph_rejected", "Requests refused before work.", ("reason",))
        self._pictures = counter(
            "heliograph_pictures",
            "Pictures that reached their end, by outcome: ok or an error code.",
            ("model", "task", "outcome"),
        )
        self._phase_seconds = seconds(
            "heliograph_phase_seconds", "Seconds of an answered picture in each phase.", ("model", "phase")
        )
        self._batch_size = Histogram(
            "heliograph_batch_size", "Pictures a batch.", ("model",), buckets=BATCH_SIZES, registry=registry
        )
        self._batch_seconds = seconds("heliograph_batch_seconds", "Engine seconds a batch.", ("model",))
        self._dropped = counter(
            "heliograph_entries_dropped",
            "Pictures that left the batcher without engine time: cancelled or expired.",
            ("model", "reason"),
        )
        self._model_info = gauge(
            "heliograph_model_info",
            "1 for each model that is ready.",
            ("model", "version", "precision", "engine"),
        )

    def picture_answered(self, model: str, task: str, outcome: str, timings: Timings) -> None:
        """See the port."""
        self._pictures.labels(model, task, outcome).inc()
        if outcome == "ok":
            for phase in PHASES:
                self._phase_seconds.labels(model, phase).observe(getattr(timings, phase))

    def batch_ran(self, model: str, size: int, seconds: float) -> None:
        """See the port."""
        self._batch_size.labels(model).observe(size)
        self._batch_seconds.labels(model).observe(seconds)

    def entries_dropped(self, model: str, reason: str, count: int = 1) -> None:
        """See the port."""
        self._dropped.labels(model, reason).inc(count)

    def request_refused(self, reason: str) -> None:
        """See the port."""
        self._rejected.labels(reason).inc()

    def in_flight(self) -> AbstractContextManager[None]:
        """See the port."""
        return self._in_flight.track_inprogress()

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """See the port."""
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route, method).observe(seconds)

    def model_loaded(self, model: str, version: str, precision: str, engine: str) -> None:
        """See the port."""
        self._model_info.labels(model, version, precision, engine).set(1)

    def model_left(self, model: str, version: str, precision: str, engine: str) -> None:
        """See `core.ports.Metrics`."""
        with suppress(KeyError):
            self._model_info.remove(model, version, precision, engine)

    def queue_seen(self, counts: QueueCounts | None, workers: Sequence[WorkerInfo]) -> None:
        """See the port."""
        self._queue.see(counts, workers)

    def render(self) -> tuple[bytes, str]:
        """See the port."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
