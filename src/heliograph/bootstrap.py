"""The only module that knows every concrete class: it turns settings into running parts."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.adapters import engines, machine
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.logs import set_up_logs
from heliograph.adapters.metrics.prometheus import PrometheusMetrics
from heliograph.adapters.models.store import FolderStore
from heliograph.console import STATIC_FOLDER
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.pictures import PictureLimits
from heliograph.core.ports import EngineOptions, Metrics
from heliograph.serving.access import KeyRing, parse_keys
from heliograph.serving.admission import Admission, PixelBudget
from heliograph.serving.direct import DirectModel
from heliograph.serving.pipeline import Workshop
from heliograph.serving.predict import Predictor
from heliograph.serving.served import ServedModels, ServingRules
from heliograph.serving.threads import WorkerThreads
from heliograph.settings import Auth, LogFormat, Settings

if TYPE_CHECKING:
    from heliograph.api.server import HttpServer, ServerRules
    from heliograph.api.services import Services

clock = time.monotonic

FINISH_MARGIN_SECONDS = 5.0
"""What a stop waits for after the longest request."""


def build_store(settings: Settings) -> FolderStore:
    """The model store that the settings name."""
    return FolderStore(settings.model_dir, settings.model_mirrors)


def build_codec(settings: Settings) -> PictureCodec:
    """The picture codec with the settings' limits."""
    return PictureCodec(
        PictureLimits(
            max_bytes=settings.max_picture_bytes,
            max_pixels=settings.max_picture_pixels,
            max_side=settings.max_picture_side,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicting:
    """The use case of prediction with its models loading, and the metrics that it feeds."""

    predictor: Predictor
    models: ServedModels
    metrics: Metrics


@asynccontextmanager
async def predicting(settings: Settings) -> AsyncIterator[Predicting]:
    """Models load in the background from here on; at the end what waits is answered and engines are freed."""
    threads = settings.threads or machine.available_threads()
    metrics = PrometheusMetrics()
    with (
        WorkerThreads(threads, name="decode") as decoding,
        ThreadPoolExecutor(1, thread_name_prefix="load") as loading,
    ):
        workshop = Workshop(
            imaging=build_codec(settings),
            threads=decoding,
            pixels=PixelBudget(settings.max_decoded_pixels),
            clock=clock,
            metrics=metrics,
        )
        store = build_store(settings)
        models = ServedModels(
            store=store,
            load=engines.loader(settings.engine),
            rules=_serving_rules(settings, store, threads),
            workshop=workshop,
            loading=loading,
        )
        models.start()
        try:
            predictor = Predictor(models, timeout_seconds=settings.request_timeout_seconds, clock=clock)
            yield Predicting(predictor=predictor, models=models, metrics=metrics)
        finally:
            await models.close(deadline=clock() + settings.request_timeout_seconds)


def _serving_rules(settings: Settings, store: FolderStore, threads: int) -> ServingRules:
    return ServingRules(
        models=settings.models,
        defaults=dict(_default_models(settings, store)),
        streams=threads,
        max_batch=settings.max_batch,
        max_wait_seconds=settings.max_wait_seconds,
    )


def _default_models(settings: Settings, store: FolderStore) -> Iterator[tuple[Task, str]]:
    """The model that each task's simple route asks: the setting's, or the first one served that does the task."""
    wanted = {Task.CLASSIFICATION: "classification_model", Task.BACKGROUND_REMOVAL: "background_model"}
    tasks = {name: store.spec(name).task for name in settings.models}
    for task, setting in wanted.items():
        name = getattr(settings, setting)
        if name in tasks:
            if tasks[name] is not task:
                raise errors.SettingsInvalid(
                    f"HELIOGRAPH_{setting.upper()}: {name} is a model for {tasks[name]}, not for {task}."
                )
            yield task, name
        elif setting in settings.model_fields_set:
            raise errors.SettingsInvalid(
                f"HELIOGRAPH_{setting.upper()}: {name} is not among HELIOGRAPH_MODELS."
            )
        else:
            first = next((other for other, does in tasks.items() if does is task), None)
            if first is not None:
                yield task, first


def read_keys(settings: Settings) -> KeyRing:
    """The API keys in use.

    Raises:
        SettingsInvalid: the key file cannot be read, or the process would be open to the network.
    """
    if settings.auth is Auth.OFF:
        return KeyRing()
    keys = KeyRing()
    if settings.api_keys_file is not None:
        try:
            text = settings.api_keys_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.SettingsInvalid(
                f"HELIOGRAPH_API_KEYS_FILE: cannot read {settings.api_keys_file}: {errors.excerpt(error)}"
            ) from None
        keys = KeyRing(parse_keys(text, origin=str(settings.api_keys_file)))
        if not keys:
            raise errors.SettingsInvalid(
                f"HELIOGRAPH_API_KEYS_FILE: there is no key in {settings.api_keys_file}; "
                "`heliograph keys create NAME` makes one."
            )
    if not keys and not settings.on_loopback:
        raise errors.SettingsInvalid(
            f"Listening on {settings.host} without API keys would let everybody in. Create one with "
            "`heliograph keys create NAME >> keys.txt` and set HELIOGRAPH_API_KEYS_FILE=keys.txt, "
            "or say HELIOGRAPH_AUTH=off."
        )
    return keys


def load_direct(reference: str, settings: Settings, *, streams: int | None = None) -> DirectModel:
    """A model in this process, without server or batcher.

    Args:
        reference: the model, or model-precision.
        settings: its ``threads`` are shared by the streams.
        streams: how many pictures at the same time; as many as threads by default.

    Raises:
        ModelError: it is unknown, not on this machine, or broken.
    """
    file = build_store(settings).find(reference)
    threads = settings.threads or machine.available_threads()
    streams = streams or threads
    options = EngineOptions(streams=streams, threads_per_stream=max(1, threads // streams), max_batch=1)
    engine = engines.loader(settings.engine)(file, options)
    return DirectModel(file.spec, engine, build_codec(settings), streams=streams)


def set_up_logging(settings: Settings) -> None:
    """Log lines as the settings want them."""
    plain = settings.log_format is LogFormat.PLAIN or (
        settings.log_format is LogFormat.AUTO and sys.stderr.isatty()
    )
    set_up_logs(level=settings.log_level, json=not plain)


def run_serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C; ``announce`` is told the address once it listens.

    Raises:
        SettingsInvalid: the settings do not allow it.
        ModelUnknown: a model in the settings is not known.
    """
    set_up_logging(settings)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, announce))


async def _serve(settings: Settings, announce: Callable[[str], None]) -> None:
    from heliograph.api.server import ServerRules, address_of, listen, serve_until

    keys = read_keys(settings)
    rules = ServerRules(
        keep_alive_seconds=settings.keep_alive_seconds,
        max_connections=settings.max_connections,
        drain_seconds=settings.drain_seconds,
        finish_seconds=settings.upload_timeout_seconds
        + settings.request_timeout_seconds
        + FINISH_MARGIN_SECONDS,
    )
    listeners = [listen(settings.host, settings.port)]
    if settings.ops_port is not None:
        listeners.append(listen(settings.host, settings.ops_port))
    async with predicting(settings) as parts:
        services = _services(settings, keys, parts)
        stop = asyncio.Event()
        _stop_on_signals(stop)
        announce(address_of(listeners[0]))
        servers = _http_servers(services, listeners, rules)
        await serve_until(stop, servers, lifecycle=services.lifecycle, rules=rules)


def _services(settings: Settings, keys: KeyRing, parts: Predicting) -> Services:
    from heliograph.api.access import LOOPBACK_HOSTS
    from heliograph.api.services import Services
    from heliograph.api.uploads import UploadLimits

    guarded_by_host = settings.on_loopback and not keys
    return Services(
        version=__version__,
        worker=settings.worker_name,
        predictor=parts.predictor,
        models=parts.models,
        admission=Admission(
            max_in_flight=settings.max_in_flight, max_body_bytes=settings.max_upload_bytes, clock=clock
        ),
        keys=keys,
        metrics=parts.metrics,
        upload_limits=UploadLimits(
            max_bytes=settings.max_request_bytes,
            max_pictures=settings.max_request_pictures,
            timeout_seconds=settings.upload_timeout_seconds,
        ),
        allowed_hosts=(*LOOPBACK_HOSTS, *settings.allowed_hosts) if guarded_by_host else None,
    )


def _http_servers(
    services: Services, listeners: Sequence[socket.socket], rules: ServerRules
) -> list[HttpServer]:
    from heliograph.api.app import create_app, create_operations_app
    from heliograph.api.page import page_routes
    from heliograph.api.server import HttpServer

    main = create_app(services, clock=clock, extra_routes=page_routes(STATIC_FOLDER))
    apps = [main, create_operations_app(services, clock=clock)]
    return [HttpServer(app, listener, rules) for app, listener in zip(apps, listeners, strict=False)]


def _stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C begin the stop; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def on_signal() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, on_signal)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return asyncio.new_event_loop
    return uvloop.new_event_loop
