"""Child processes: how they are started, what they write, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

Say: TypeAlias = Callable[[str], None]
"""Takes a line for whoever watches. It must not block."""

LINE_BYTES = 4096
"""A longer line comes in pieces."""
LAST_LINES_SECONDS = 1.0
"""How long what a dead child has written is read; its pipe stays open while a child of its own lives."""
KILL_SECONDS = 10.0
"""How long a killed process may take to be gone."""

GONE = (ProcessLookupError, PermissionError)
"""What a signal to a process that is gone ends in; macOS permits none to one that nobody has waited for yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program and how it is started. ``environment`` comes on top of ours; ``umask`` of -1 is ours."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    umask: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended: its exit status, or the negative number of a signal."""

    status: int
    ran_seconds: float

    def __str__(self) -> str:
        if self.status >= 0:
            return f"exited with status {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = f"signal {-self.status}"
        return f"was killed by {name}"


class Child:
    """A process of ours, in a session of its own: what is typed in our terminal does not reach it."""

    def __init__(self, name: str, process: Process, lines: asyncio.Task[None]) -> None:
        self.name = name
        self.pid = process.pid
        self.started_at = time.time()
        self.is_stopping = False
        self._process = process
        self._lines = lines
        self._began = time.monotonic()
        self._ending = asyncio.create_task(self._await_end())

    @classmethod
    async def start(cls, name: str, command: Command, say: Say) -> Self:
        """A process that runs; each line that it writes is said.

        Raises:
            OSError: it cannot be started.
        """
        # A pipe of our own: asyncio's own ones would let the end wait until the last one that inherited them is gone.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                env={**os.environ, **command.environment},
                stdin=DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
                pass_fds=command.pass_fds,
                umask=command.umask,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(name, process, asyncio.create_task(_read_lines(reading, say)))

    @property
    def has_ended(self) -> bool:
        """Whether it is gone and all that it wrote is said."""
        return self._ending.done()

    async def wait(self) -> Ending:
        """How it ended, once it has."""
        return await asyncio.shield(self._ending)

    def terminate(self) -> None:
        """Asks it to stop, once: a second SIGTERM would mean at once."""
        if not self.is_stopping:
            self.is_stopping = True
            self._send(os.kill, signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and all that it started."""
        self._send(os.killpg, signal.SIGKILL)

    async def stop(self, grace_seconds: float) -> Ending | None:
        """How it ended after it was asked to, and killed after so long; None if even that did not help."""
        self.terminate()
        for patience in (grace_seconds, KILL_SECONDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    return await self.wait()
            self.kill()
        return None

    def _send(self, how: Callable[[int, int], None], number: signal.Signals) -> None:
        if self._process.returncode is None:
            # Not by asyncio's way, which looks for the exit status first and may take it from the one who waits.
            with suppress(*GONE):
                how(self.pid, number)

    async def _await_end(self) -> Ending:
        status = await self._process.wait()
        ran_seconds = time.monotonic() - self._began
        with suppress(*GONE):
            os.killpg(self.pid, signal.SIGKILL)  # what it started and left behind
        await asyncio.wait({self._lines}, timeout=LAST_LINES_SECONDS)
        self._lines.cancel()
        await asyncio.gather(self._lines, return_exceptions=True)
        return Ending(status=status, ran_seconds=ran_seconds)


class Children:
    """All processes that we have started and that are not gone."""

    def __init__(self) -> None:
        self._alive: set[Child] = set()

    async def start(self, name: str, command: Command, say: Say) -> Child:
        """One more; see `Child.start`."""
        self._alive = {child for child in self._alive if not child.has_ended}
        child = await Child.start(name, command, say)
        self._alive.add(child)
        return child

    def kill(self) -> None:
        """Ends all of them at once."""
        for child in self._alive:
            child.kill()


async def _read_lines(descriptor: int, say: Say) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    rest = b""
    try:
        while chunk := await reader.read(LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= LINE_BYTES:
                lines.append(rest)
                rest = b""
            for line in lines:
                say(printable(line))
        if rest:
            say(printable(rest))
    finally:
        transport.close()


def printable(line: bytes) -> str:
    """A line as a terminal can show it, whatever a program wrote."""
    text = line.decode(errors="replace").rstrip()
    return "".join(character if character.isprintable() else " " for character in text)
