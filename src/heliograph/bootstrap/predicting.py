"""The engines of a process: its models, loading in the background, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from heliograph.adapters import engines
from heliograph.adapters.metrics.prometheus import PrometheusMetrics
from heliograph.bootstrap.parts import (
    background,
    build_codec,
    build_store,
    clock,
    count_threads,
    default_models,
    follow_store,
    served_names,
)
from heliograph.core.ports import Metrics
from heliograph.serving.admission import PixelBudget
from heliograph.serving.pipeline import Workshop
from heliograph.serving.served import ServedModels, ServingRules
from heliograph.serving.threads import WorkerThreads
from heliograph.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicting:
    """Models that load, and what the process has for all of them."""

    models: ServedModels
    workshop: Workshop
    streams: int

    @property
    def metrics(self) -> Metrics:
        """The metrics that they feed."""
        return self.workshop.metrics


@asynccontextmanager
async def predicting(settings: Settings) -> AsyncIterator[Predicting]:
    """Models load in the background from here on; at the end what waits is answered and engines are freed.

    Raises:
        SettingsInvalid: the settings do not allow it.
        ModelUnknown: a model in the settings is not known.
    """
    threads = count_threads(settings)
    with (
        WorkerThreads(threads, name="decode") as decoding,
        ThreadPoolExecutor(1, thread_name_prefix="load") as loading,
    ):
        workshop = Workshop(
            imaging=build_codec(settings),
            threads=decoding,
            pixels=PixelBudget(settings.max_decoded_pixels),
            clock=clock,
            metrics=PrometheusMetrics(),
        )
        store = build_store(settings)
        served = served_names(settings, store)
        models = ServedModels(
            store=store,
            load=engines.loader(settings.engine),
            rules=ServingRules(
                models=served.names,
                defaults=default_models(settings, store, served.names),
                streams=threads,
                max_batch=settings.max_batch,
                max_wait_seconds=settings.max_wait_seconds,
                retire_seconds=settings.request_timeout_seconds,
            ),
            workshop=workshop,
            loading=loading,
        )
        models.start()
        try:
            async with background(follow_store(store, models, served)):
                yield Predicting(models=models, workshop=workshop, streams=threads)
        finally:
            await models.close(deadline=clock() + settings.request_timeout_seconds)
