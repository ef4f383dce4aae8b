"""A queue's server whose `heliograph up` was killed: it is found, and stopped before another one has its files."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

from heliograph.adapters.fleet.children import Say
from heliograph.adapters.fleet.folders import try_lock
from heliograph.core import errors

SERVER_LOCK = "server.lock"
PID_FILE = "server.pid"
ADDRESS = "address"
STOP_SECONDS = 30.0
"""How long it may take to stop."""
TICK_SECONDS = 0.02

Reply: TypeAlias = Any
"""What a server answers: bytes, numbers and lists of them."""


class Connection(Protocol):
    """A way to a server; its errors are ours."""

    async def call(self, *command: object) -> Reply:
        """What it answers; `QueueUnavailable` if it does not."""

    async def check(self) -> None:
        """Raises SettingsInvalid or QueueUnavailable if it cannot hold a queue."""

    async def close(self) -> None:
        """Lets go of it."""


Connect: TypeAlias = Callable[[str], Connection]
"""Makes a way to the server of a URL."""


async def stop_orphan(folder: Path, connect: Connect, say: Say) -> None:
    """Returns once no server has the folder, which is locked by us.

    Raises:
        SettingsInvalid: there is one that does not answer, or does not stop.
    """
    try:
        os.close(await lock_files(folder, 0.0))
    except BlockingIOError:
        pid = await _ask_for_pid(folder, connect)
        say(f"the queue's server of an `up` that was killed still runs (pid {pid}); it is stopped first")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        try:
            os.close(await lock_files(folder, STOP_SECONDS))
        except BlockingIOError:
            raise _refusal(folder, "does not stop") from None


async def lock_files(folder: Path, patience_seconds: float) -> int:
    """The descriptor of the lock that a server of this folder is to inherit; the caller has to close it.

    Raises:
        BlockingIOError: a server has it, for longer than we wait.
    """
    descriptor = os.open(folder / SERVER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience_seconds
    try:
        while not try_lock(descriptor):
            if clock() >= deadline:
                raise BlockingIOError("Another server has the folder.")
            await asyncio.sleep(TICK_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


async def _ask_for_pid(folder: Path, connect: Connect) -> int:
    """The server's process id, as it says itself, if it also says that it is the one on this folder."""
    connection = connect(url_of(Path(_read(folder, ADDRESS))))
    try:
        own_folder = (await connection.call("CONFIG", "GET", "dir"))[1]
        facts = await connection.call("INFO")
    except errors.QueueUnavailable as error:
        raise _refusal(folder, f"does not answer ({error.message})") from error
    finally:
        await connection.close()
    if Path(os.fsdecode(own_folder)) != folder:
        raise _refusal(folder, "is not the one that answers")
    return int(facts["process_id"])


def _refusal(folder: Path, what: str) -> errors.SettingsInvalid:
    return errors.SettingsInvalid(
        f"The queue's server of an earlier `heliograph up` (pid {_read(folder, PID_FILE)}) still has the data "
        f"folder {folder} and {what}; end it and start again."
    )


def _read(folder: Path, name: str) -> str:
    try:
        return folder.joinpath(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return "unknown"


def url_of(socket: Path) -> str:
    """A server's address from the name of its socket."""
    return f"unix://{quote(str(socket))}"
