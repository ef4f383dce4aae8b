"""How ``heliograph up`` starts its gateway and its workers, and when the gateway answers."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx2

from heliograph.adapters import machine
from heliograph.adapters.fleet.children import Command
from heliograph.bootstrap.http import finish_seconds
from heliograph.bootstrap.sockets import address_of, listen
from heliograph.core import errors
from heliograph.settings import LogFormat, LogLevel, Settings

READY_SECONDS = 60.0
"""How long the gateway may take until it answers."""
PORT_SECONDS = 5.0
"""How long the port may be in use: the gateway of an `up` that was killed needs a moment to notice."""
TICK_SECONDS = 0.1
GATEWAY_MARGIN_SECONDS = 5.0
"""What the gateway may take to stop beside the requests that it finishes."""
WORKER_MARGIN_SECONDS = 10.0
"""What a worker may take to stop beside the jobs in its hands."""


def gateway_command(settings: Settings, fleet_socket: Path) -> Command:
    """How the gateway is started."""
    own = {
        "HELIOGRAPH_HOST": settings.host,
        "HELIOGRAPH_PORT": str(settings.port),
        "HELIOGRAPH_FLEET_SOCKET": str(fleet_socket),
    }
    return Command(arguments=_program("gateway"), environment=_environment(settings) | own)


def gateway_grace_seconds(settings: Settings) -> float:
    """How long the gateway may take to stop: as long as it finishes what it has taken, and a little more."""
    return settings.drain_seconds + finish_seconds(settings) + GATEWAY_MARGIN_SECONDS


def worker_command(settings: Settings, name: str, workers: int) -> Command:
    """How a worker is started that may be one of so many; they share the machine's threads."""
    threads = settings.threads or max(1, machine.available_threads() // max(1, workers))
    own = {
        "HELIOGRAPH_HOST": "127.0.0.1",  # probes and metrics, which ask for no key
        "HELIOGRAPH_OPS_PORT": "0",
        "HELIOGRAPH_THREADS": str(threads),
    }
    return Command(arguments=_program("worker", "--name", name), environment=_environment(settings) | own)


def worker_grace_seconds(settings: Settings) -> float:
    """How long a worker may take to stop."""
    return settings.finish_seconds + WORKER_MARGIN_SECONDS


def _program(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "heliograph", *arguments)


def _environment(settings: Settings) -> dict[str, str]:
    """What both are told, beside our own environment; secrets do not belong into command lines."""
    if settings.redis_url is None:
        raise RuntimeError("This is a bug: there is no server yet.")
    password = settings.redis_password
    is_json = settings.log_format is LogFormat.JSON
    # A line for each request and job would drown what happens to the fleet, unless somebody wants them.
    level = settings.log_level if "log_level" in settings.model_fields_set else LogLevel.WARNING
    return {
        "HELIOGRAPH_LOG_LEVEL": level.value,
        "HELIOGRAPH_REDIS_URL": settings.redis_url.get_secret_value(),
        "HELIOGRAPH_REDIS_PASSWORD": "" if password is None else password.get_secret_value(),
        "HELIOGRAPH_PARENT_PID": str(os.getpid()),
        "HELIOGRAPH_LOG_FORMAT": (LogFormat.JSON if is_json else LogFormat.PLAIN).value,
    }


async def with_port(settings: Settings) -> tuple[Settings, str]:
    """Settings with a port on which nobody listens, for 0 a free one, and the address that it makes.

    Raises:
        SettingsInvalid: it is in use, and stays so.
    """
    deadline = asyncio.get_running_loop().time() + PORT_SECONDS
    while True:
        try:
            listener = listen(settings.host, settings.port)
        except errors.SettingsInvalid:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(TICK_SECONDS)
            continue
        with listener:
            port = listener.getsockname()[1]
            return settings.model_copy(update={"port": port}), address_of(listener)


async def until_ready(address: str) -> None:
    """Returns once the gateway answers that it is ready.

    Raises:
        HeliographError: it never does.
    """
    async with httpx2.AsyncClient(trust_env=False, timeout=READY_SECONDS) as client:
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    if await _is_ready(client, f"{address}/readyz"):
                        return
                    await asyncio.sleep(TICK_SECONDS)
        except TimeoutError:
            raise errors.HeliographError(
                f"The gateway was not ready within {READY_SECONDS:g} s; its lines above say why."
            ) from None


async def _is_ready(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False
