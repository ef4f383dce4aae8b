"""A worker of a queue with the engines of this process."""

from __future__ import annotations

import time

from heliograph.bootstrap.parts import clock
from heliograph.bootstrap.predicting import Predicting
from heliograph.bootstrap.queues import Queue
from heliograph.serving.performing import Performer
from heliograph.settings import Settings
from heliograph.worker.consumer import Consumer, ConsumerRules
from heliograph.worker.heartbeat import Heart
from heliograph.worker.process import Worker

MIN_SPARE_JOBS = 1
"""Held beyond what the engines are at, so that the next picture is decoded when one of them is free."""
RENEWALS_A_LEASE = 3
RECLAIMS_A_LEASE = 5


def build_worker(settings: Settings, parts: Predicting, queue: Queue, name: str) -> Worker:
    """A worker of this name, which nothing has had before it."""
    lease = queue.rules.lease_seconds

    def on_change() -> None:
        heart.note_change()

    consumer = Consumer(
        name,
        queue.source,
        Performer(parts.models, worker=name, seconds=settings.request_timeout_seconds, clock=clock),
        rules=ConsumerRules(
            min_held=parts.streams + MIN_SPARE_JOBS,
            renew_seconds=lease / RENEWALS_A_LEASE,
            reclaim_seconds=lease / RECLAIMS_A_LEASE,
            finish_seconds=settings.finish_seconds,
        ),
        clock=clock,
        models=parts.models.names_ready,
        on_change=on_change,
    )
    heart = Heart(
        name,
        queue.source,
        parts.models,
        load=lambda: (consumer.holding, consumer.finished),
        now=time.time,
    )
    parts.models.on_change = on_change
    return Worker(name, parts.models, consumer, heart)
