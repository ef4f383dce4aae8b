"""``heliograph worker``: engines that take jobs from a queue; no web framework is loaded."""

from __future__ import annotations

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from heliograph.bootstrap.consuming import build_worker
from heliograph.bootstrap.parts import run_until_stopped
from heliograph.bootstrap.predicting import predicting
from heliograph.bootstrap.queues import server_queue
from heliograph.bootstrap.sockets import listen
from heliograph.core import errors
from heliograph.settings import Settings
from heliograph.worker.operations import OperationsServer
from heliograph.worker.process import Worker

MAX_NAME = 253
NAME = re.compile(rf"[!-'*-~]{{1,{MAX_NAME}}}")
"""What a header can carry, without the parentheses around what is no name."""


def run_worker(settings: Settings, name: str | None, announce: Callable[[str], None]) -> None:
    """Works until SIGTERM or Ctrl-C.

    Args:
        settings: all settings.
        name: never used before; without it the worker's name in the settings, and a random end.
        announce: told the worker's name, and the port where its probes are, once it listens there.

    Raises:
        SettingsInvalid: the settings or the name do not allow it, or the queue's server does not.
        ModelUnknown: a model in the settings is not known.
    """
    end = f"-{secrets.token_hex(4)}"
    worker_name = check_name(settings.worker_name[: MAX_NAME - len(end)] + end if name is None else name)

    async def main(stop: asyncio.Event) -> None:
        listener = None if settings.ops_port is None else listen(settings.host, settings.ops_port)
        async with server_queue(settings) as queue, predicting(settings) as parts:
            worker = build_worker(settings, parts, queue, worker_name)
            async with _operations(worker, listener, parts.metrics.render):
                port = "" if listener is None else f", probes and metrics on port {listener.getsockname()[1]}"
                announce(f"worker {worker_name}{port}")
                await worker.run(stop)

    run_until_stopped(main, settings)


def check_name(name: str) -> str:
    """The name, if a worker can have it.

    Raises:
        SettingsInvalid: it cannot.
    """
    if not NAME.fullmatch(name):
        raise errors.SettingsInvalid(
            f"No worker can be named {errors.excerpt(repr(name))}: a name has 1 to {MAX_NAME} letters, digits "
            "and signs of ASCII, without spaces and parentheses."
        )
    return name


@asynccontextmanager
async def _operations(
    worker: Worker, listener: socket.socket | None, metrics: Callable[[], tuple[bytes, str]]
) -> AsyncIterator[None]:
    """Probes and metrics are answered while the context is open."""
    if listener is None:
        yield
        return
    server = OperationsServer(listener, worker.pages(metrics))
    await server.start()
    try:
        yield
    finally:
        await server.stop()
