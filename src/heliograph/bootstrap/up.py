"""``heliograph up``: the queue's server, a gateway and workers as processes of this machine, kept running."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from heliograph.adapters import machine
from heliograph.adapters.fleet.children import Child, Children, Command, Say
from heliograph.adapters.fleet.control import FleetServer
from heliograph.adapters.fleet.folders import locked_folder, private_folder
from heliograph.adapters.fleet.keeping import Death, Keeper
from heliograph.adapters.fleet.processes import ProcessFleet
from heliograph.adapters.fleet.valkey import EmbeddedValkey, find_program, memory_limit
from heliograph.adapters.logs import PlainFormatter
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.bootstrap.parts import background, build_store, clock, default_models, read_keys, served_names
from heliograph.bootstrap.queues import Queue, server_queue
from heliograph.bootstrap.up_children import (
    gateway_command,
    gateway_grace_seconds,
    until_ready,
    with_port,
    worker_command,
    worker_grace_seconds,
)
from heliograph.core import errors
from heliograph.core.fleet import FleetBounds
from heliograph.core.queue import JobDesk
from heliograph.core.workers import WorkerState
from heliograph.serving.scaling import Autoscaler, autoscale
from heliograph.serving.silence import Silence, hear
from heliograph.settings import Settings, default_model_dir


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What there is to tell once all is up. ``kept_in`` is the queue's folder, or its server."""

    address: str
    kept_in: str
    workers: FleetBounds
    pids: tuple[int, ...]
    asks_for_keys: bool


def default_data_dir() -> Path:
    """``$XDG_DATA_HOME/heliograph/queue``, by default below ``~/.local/share``."""
    return default_model_dir().with_name("queue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A whole deployment on this machine.

    Args:
        settings: with ``redis_url`` if the queue is to lie on that server.
        bounds: how many workers.
        data_dir: where the queue is kept otherwise.
        say: takes what happens and what the processes write, a line each; must not block.
        announce: is told once, when the gateway answers.
    """

    settings: Settings
    bounds: FleetBounds
    data_dir: Path
    say: Say
    announce: Callable[[Running], None]

    def run(self) -> None:
        """Runs until SIGTERM, SIGHUP or Ctrl-C; a second one kills all processes and this one.

        Raises:
            SettingsInvalid: the settings do not allow it, or the queue's server does not start or cannot be used.
            ModelUnknown: a model in the settings is not known.
            ParameterInvalid: there cannot be so many workers.
        """
        self.bounds.check()
        _send_logs(self.say, level=self.settings.log_level)
        with asyncio.Runner() as runner:
            runner.run(self._until_signalled())

    async def _until_signalled(self) -> None:
        stop, children = asyncio.Event(), Children()
        with private_folder() as private:

            def kill() -> None:
                children.kill()
                shutil.rmtree(private, ignore_errors=True)

            _on_signals(stop, kill)
            work = asyncio.create_task(self._work(children, private))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.say("stopping: the gateway, the workers, the queue; once more, and all are killed")
                work.cancel()
            stopping.cancel()
            await asyncio.wait({work, stopping})
        if not work.cancelled():
            work.result()

    async def _work(self, children: Children, private: Path) -> None:
        """Keeps all running until it is cancelled; what was begun last is stopped first."""
        keys = read_keys(self.settings)
        store = build_store(self.settings)
        default_models(self.settings, store, served_names(self.settings, store).names)
        async with AsyncExitStack() as stack:
            settings, kept_in = await self._with_server(children, private, stack)
            settings, address = await with_port(settings)
            queue = await stack.enter_async_context(server_queue(settings))
            if open_jobs := await _open_jobs(queue.desk):
                self.say(f"{_jobs(open_jobs)} from before: on we go")
            stack.push_async_callback(self._tell_end, queue.desk)
            fleet = await stack.enter_async_context(self._fleet(settings, children, queue))
            socket = private / "fleet.sock"
            await stack.enter_async_context(FleetServer(fleet, socket))
            command = gateway_command(settings, socket)
            gateway = Keeper(partial(self._start_gateway, children, command), self._tell_death)
            stack.push_async_callback(gateway.stop, gateway_grace_seconds(settings))
            gateway.start()
            async with background(
                autoscale(fleet, queue.desk, Autoscaler(clock=clock)),
                hear(fleet, queue.desk, Silence(clock=clock)),
            ):
                await until_ready(address)
                alive = [m.pid for m in await fleet.members() if m.state is not WorkerState.GONE]
                self.announce(
                    Running(
                        address=address,
                        kept_in=kept_in,
                        workers=self.bounds,
                        pids=tuple(alive),
                        asks_for_keys=bool(keys),
                    )
                )
                await asyncio.Event().wait()

    async def _with_server(
        self, children: Children, private: Path, stack: AsyncExitStack
    ) -> tuple[Settings, str]:
        """Settings that name the queue's server, which runs, and where it keeps the queue."""
        given = self.settings.redis_url
        if given is not None:
            return self.settings, _place(given.get_secret_value(), self.settings.queue)
        folder = stack.enter_context(locked_folder(self.data_dir))
        valkey = EmbeddedValkey(
            find_program(),
            folder,
            private,
            children=children,
            connect=lambda url: RedisServer(url, self.settings.queue),
            say=self.say,
            memory_bytes=memory_limit(self.settings.max_queued_bytes, machine.available_memory()),
        )
        stack.push_async_callback(valkey.stop)
        await valkey.start()
        own = {"redis_url": SecretStr(valkey.url), "redis_password": None}
        return self.settings.model_copy(update=own), str(folder)

    @asynccontextmanager
    async def _fleet(
        self, settings: Settings, children: Children, queue: Queue
    ) -> AsyncIterator[ProcessFleet]:
        fleet = ProcessFleet(
            partial(worker_command, settings),
            self.bounds,
            children=children,
            release=queue.source.release,
            say=self.say,
            grace_seconds=worker_grace_seconds(settings),
        )
        fleet.start()
        try:
            yield fleet
        finally:
            await fleet.close()

    async def _start_gateway(self, children: Children, command: Command) -> Child:
        child = await children.start("gateway", command, lambda line: self.say(f"gateway | {line}"))
        self.say(f"the gateway starts (pid {child.pid})")
        return child

    def _tell_death(self, death: Death) -> None:
        self.say(f"the gateway {death.reason}; another one starts in {death.next_seconds:g} s")

    async def _tell_end(self, desk: JobDesk) -> None:
        open_jobs = await _open_jobs(desk)
        if open_jobs is not None:
            self.say(f"stopped; {_jobs(open_jobs)} left for the next `heliograph up`")


async def _open_jobs(desk: JobDesk) -> int | None:
    """How many jobs wait or run; None if the queue does not answer."""
    try:
        backlog = (await desk.counts()).backlog.values()
    except errors.CapacityError:
        return None
    return sum(one.waiting + one.running for one in backlog)


def _jobs(count: int) -> str:
    return f"{count or 'no'} unfinished job{'' if count == 1 else 's'}"


def _place(url: str, queue: str) -> str:
    """Where a queue's server is, without user and password.

    Raises:
        SettingsInvalid: the address is not one.
    """
    RedisServer(url, queue)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}{f':{parts.port}' if parts.port else ''}"


def _on_signals(stop: asyncio.Event, kill: Callable[[], None]) -> None:
    """SIGTERM, SIGHUP and Ctrl-C begin the stop; a second one ends everything at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if not stop.is_set():
            stop.set()
            return
        kill()
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(number, on_signal, number)


class _Lines(logging.Handler):
    """Says what is logged in this process."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say
        self.setFormatter(PlainFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._say(self.format(record))


def _send_logs(say: Say, *, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [_Lines(say)]
    root.setLevel(logging.WARNING)
    logging.getLogger("heliograph").setLevel(level.upper())
    logging.captureWarnings(True)
