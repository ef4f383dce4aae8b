"""Parts that several kinds of process are made of, from settings."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from heliograph.adapters import engines, machine
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.logs import set_up_logs
from heliograph.adapters.models.store import FolderStore
from heliograph.bootstrap.key_file import KeyFile
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.pictures import PictureLimits
from heliograph.core.ports import EngineOptions
from heliograph.serving.access import KeyRing
from heliograph.serving.direct import DirectModel
from heliograph.serving.following import StoreFollower
from heliograph.serving.model_table import ModelTable
from heliograph.settings import Auth, LogFormat, Settings, misspelt

log = logging.getLogger("heliograph.models")

clock = time.monotonic

PARENT_LOOK_SECONDS = 1.0


def build_store(settings: Settings) -> FolderStore:
    """The model store that the settings name."""
    return FolderStore(settings.model_dir, settings.model_mirrors)


def build_codec(settings: Settings) -> PictureCodec:
    """The picture codec with the settings' limits."""
    return PictureCodec(build_limits(settings))


def build_limits(settings: Settings) -> PictureLimits:
    """What a picture may be at most, by the settings."""
    return PictureLimits(
        max_bytes=settings.max_picture_bytes,
        max_pixels=settings.max_picture_pixels,
        max_side=settings.max_picture_side,
    )


def count_threads(settings: Settings) -> int:
    """How many threads this process may keep busy."""
    return settings.threads or machine.available_threads()


ALL_IN_STORE = "*"


@dataclass(frozen=True, slots=True)
class ServedNames:
    """What a process serves: names in the order in which they load, those that the settings name, and the store.

    ``own`` is what was in the store, ``weights`` what weights there were for each name; ``follows`` whether packages
    that come later are served too.
    """

    names: tuple[str, ...]
    named: frozenset[str]
    own: Mapping[str, str]
    weights: Mapping[str, str]
    follows: bool


def served_names(settings: Settings, store: FolderStore) -> ServedNames:
    """What the settings serve, with the packages in the store in the place of `ALL_IN_STORE`.

    Raises:
        ModelUnknown: a model in the settings is not known.
    """
    named = tuple(name for name in settings.models if name != ALL_IN_STORE)
    follows = ALL_IN_STORE in settings.models
    own = store.own() if follows else {}
    more = tuple(name for name in own if name not in named and _is_readable(store, name))
    names = named + more
    weights = {name: store.mark(name) for name in names}
    return ServedNames(names=names, named=frozenset(named), own=own, weights=weights, follows=follows)


def _is_readable(store: FolderStore, name: str) -> bool:
    try:
        store.spec(name)
    except errors.ModelError as error:
        log.warning("model package left out: %s", error.message)
        return False
    return True


async def follow_store(store: FolderStore, table: ModelTable, served: ServedNames) -> None:
    """Serves what comes into the store and no more what leaves it, until it is cancelled."""
    follower = StoreFollower(
        store,
        table,
        known=served.own,
        named=served.named,
        weights=served.weights,
        takes_all=served.follows,
    )
    await follower.follow(lambda: table.settled)


def default_models(settings: Settings, store: FolderStore, names: Sequence[str]) -> dict[Task, str]:
    """The model that each task's simple route asks: the setting's, or the first one served that does the task.

    Raises:
        SettingsInvalid: the setting names a model that is not served, or does something else.
        ModelUnknown: a model in the settings is not known.
    """
    return dict(_default_models(settings, store, names))


def _default_models(
    settings: Settings, store: FolderStore, names: Sequence[str]
) -> Iterator[tuple[Task, str]]:
    wanted = {Task.CLASSIFICATION: "classification_model", Task.BACKGROUND_REMOVAL: "background_model"}
    tasks = {name: store.spec(name).task for name in names}
    for task, setting in wanted.items():
        name = getattr(settings, setting)
        if tasks.get(name) is task:
            yield task, name
        elif setting in settings.model_fields_set:
            if name in tasks:
                raise errors.SettingsInvalid(
                    f"HELIOGRAPH_{setting.upper()}: {name} is a model for {tasks[name]}, not for {task}."
                )
            raise errors.SettingsInvalid(
                f"HELIOGRAPH_{setting.upper()}: {name} is not among HELIOGRAPH_MODELS."
            )
        else:
            first = next((other for other, does in tasks.items() if does is task), None)
            if first is not None:
                yield task, first


def read_keys(settings: Settings) -> KeyRing:
    """The API keys in use; those of a file as they change.

    Raises:
        SettingsInvalid: the key file cannot be read, or the process would be open to the network.
    """
    if settings.auth is Auth.OFF:
        return KeyRing()
    keys = KeyRing()
    if settings.api_keys_file is not None:
        file = KeyFile(settings.api_keys_file)
        keys = KeyRing(file.read(), renewed=file.renewed)
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
    threads = count_threads(settings)
    streams = streams or threads
    options = EngineOptions(streams=streams, threads_per_stream=max(1, threads // streams), max_batch=1)
    engine = engines.loader(settings.engine)(file, options)
    return DirectModel(file.spec, engine, build_codec(settings), streams=streams)


def set_up_logging(settings: Settings) -> None:
    """Log lines as the settings want them, and the first of them: which variables are no settings."""
    plain = settings.log_format is LogFormat.PLAIN or (
        settings.log_format is LogFormat.AUTO and sys.stderr.isatty()
    )
    set_up_logs(level=settings.log_level, json=not plain)
    for name, meant in misspelt(os.environ).items():
        logging.getLogger("heliograph.settings").warning(
            "there is no such setting", extra={"variable": name, "like": meant or "none"}
        )


def stop_on_signals(stop: asyncio.Event) -> None:
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


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """What makes event loops: uvloop where there is one."""
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], settings: Settings) -> None:
    """Runs a process: ``main`` gets an event that is set on SIGTERM and Ctrl-C, and when the parent is gone."""
    set_up_logging(settings)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(main, settings))


async def _run(main: Callable[[asyncio.Event], Coroutine[Any, Any, None]], settings: Settings) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with background(_stop_with_parent(settings.parent_pid, stop)):
        await main(stop)


async def _stop_with_parent(parent: int | None, stop: asyncio.Event) -> None:
    while parent is not None:
        if os.getppid() != parent:
            stop.set()
        await asyncio.sleep(PARENT_LOOK_SECONDS)


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Lets work go on beside what runs inside, and ends it afterwards. If it fails, so does what runs inside."""
    inside = asyncio.current_task()
    failures: list[BaseException] = []

    def note_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and inside is not None:
            failures.append(error)
            inside.cancel()

    tasks = [asyncio.get_running_loop().create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(note_end)
    try:
        yield
    except asyncio.CancelledError:
        if not failures or inside is None:
            raise
        inside.uncancel()
        raise failures[0] from None
    finally:
        for task in tasks:
            task.remove_done_callback(note_end)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
