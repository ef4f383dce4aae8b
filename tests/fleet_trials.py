"""Fleets of real processes that do nothing, and somebody who reads what is said of them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from heliograph.adapters.fleet.children import Children, Command
from heliograph.adapters.fleet.processes import ProcessFleet, Release
from heliograph.core.fleet import FleetBounds, FleetMember
from heliograph.core.workers import WorkerState

PATIENCE_SECONDS = 10.0
LEAVES_WHEN_ASKED = 'trap "echo leaving; exit 0" TERM; echo hello; while :; do sleep 0.02; done'
STAYS = 'trap "" TERM; echo hello; while :; do sleep 0.02; done'
TWO = FleetBounds(minimum=2, maximum=2)
DIES_AT_ONCE = "exit 3"


def shell(script: str) -> Command:
    """A process that runs a script."""
    return Command(arguments=("/bin/sh", "-c", script))


def python(program: str) -> Command:
    """A process that runs a program."""
    return Command(arguments=(sys.executable, "-c", program))


async def eventually(what: str, condition: Callable[[], bool], *, patience: float = PATIENCE_SECONDS) -> None:
    """Returns once the condition holds; fails with ``what`` if it never does."""
    deadline = asyncio.get_running_loop().time() + patience
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"waited in vain for: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Watcher:
    """Keeps the lines that are said."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def has(self, pattern: str) -> bool:
        """Whether some line matches."""
        return any(re.search(pattern, line) for line in self.lines)

    async def hears(self, pattern: str) -> None:
        """Waits for a line; fails with all lines if it never comes."""
        try:
            await eventually(pattern, lambda: self.has(pattern))
        except AssertionError as error:
            raise AssertionError(f"{error}; there was: {self.lines}") from None


@dataclass
class Trial:
    """A fleet, what it said, and the names whose jobs it gave up."""

    script: str = LEAVES_WHEN_ASKED
    bounds: FleetBounds = TWO
    grace_seconds: float = 5.0
    jobs_held: int = 0
    release_by: Release | None = None
    watcher: Watcher = field(default_factory=Watcher)
    released: list[str] = field(default_factory=list)
    children: Children = field(default_factory=Children)
    started: list[tuple[str, int]] = field(default_factory=list)
    fleet: ProcessFleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = ProcessFleet(
            self._command,
            self.bounds,
            children=self.children,
            release=self.release_by or self.release,
            say=self.watcher.say,
            grace_seconds=self.grace_seconds,
        )

    def _command(self, name: str, workers: int) -> Command:
        self.started.append((name, workers))
        return shell(self.script)

    async def release(self, name: str) -> int:
        """What the queue would do."""
        self.released.append(name)
        return self.jobs_held

    async def alive(self, count: int) -> Sequence[FleetMember]:
        """The workers once so many run, and have come so far that they obey."""
        members: Sequence[FleetMember] = ()

        def greeted() -> int:
            return sum(self.watcher.has(f"{member.name} . hello") for member in members)

        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while greeted() != count or len(members) != count:
            assert asyncio.get_running_loop().time() < deadline, (members, self.watcher.lines)
            await asyncio.sleep(0.01)
            members = [m for m in await self.fleet.members() if m.state is WorkerState.STARTING]
        return members


@asynccontextmanager
async def running(trial: Trial) -> AsyncIterator[Trial]:
    """The trial with its fleet started; stopped at the end, with nothing left behind."""
    trial.fleet.start()
    try:
        yield trial
    finally:
        await trial.fleet.close()
