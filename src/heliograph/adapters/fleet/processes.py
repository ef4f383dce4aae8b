"""`ProcessFleet`: workers as processes of this machine."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from heliograph.adapters.fleet.children import Child, Children, Command, Say
from heliograph.adapters.fleet.keeping import Death, Keeper
from heliograph.core import errors
from heliograph.core.fleet import FleetAction, FleetBounds, FleetMember
from heliograph.core.workers import WorkerState

ACTIONS_KEPT = 200
GONE_SECONDS = 30.0
"""How long a worker that is gone is still listed."""
GONE_KEPT = 100
RELEASE_SECONDS = 15.0
"""How long it is tried to give up a dead worker's jobs; by then their leases are over anyway."""
RELEASE_PAUSE_SECONDS = 0.5
AUTOSCALER = "autoscaler"
SUPERVISOR = "supervisor"

MakeCommand: TypeAlias = Callable[[str, int], Command]
"""How a worker of this name is started that may be one of so many."""
Release: TypeAlias = Callable[[str], Awaitable[int]]
"""Gives up what a dead worker held; see `heliograph.core.queue.JobSource.release`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """A worker that is gone, and since when by the monotonic clock."""

    member: FleetMember
    since: float


class ProcessFleet:
    """Implements `heliograph.core.fleet.Fleet`; from `start` to `close` it keeps the wanted number of workers up.

    Each has a place, and a name that is used once: the one that comes after it in its place has another.

    Args:
        command: how a worker is started.
        bounds: how many there may be; it begins with the fewest.
        children: start them.
        release: gives up a dead worker's jobs.
        say: takes what happens, for whoever watches.
        grace_seconds: how long a worker may take to stop before it is killed.
    """

    def __init__(
        self,
        command: MakeCommand,
        bounds: FleetBounds,
        *,
        children: Children,
        release: Release,
        say: Say,
        grace_seconds: float,
    ) -> None:
        self._command = command
        self._children = children
        self._bounds = bounds
        self._release = release
        self._say = say
        self._grace_seconds = grace_seconds
        self._names = Names()
        self._places: dict[int, Keeper] = {}
        self._ready: set[str] = set()
        self._leaving: dict[str, Child] = {}
        self._left: deque[_Left] = deque(maxlen=GONE_KEPT)
        self._actions: deque[FleetAction] = deque(maxlen=ACTIONS_KEPT)
        self._errands: set[asyncio.Task[None]] = set()
        self._host = socket.gethostname()

    @property
    def is_read_only(self) -> bool:
        """Never."""
        return False

    @property
    def size(self) -> int:
        """How many workers it keeps up."""
        return len(self._places)

    def start(self) -> None:
        """Starts the fewest workers that there may be."""
        self._fill(self._bounds.minimum)

    async def close(self) -> None:
        """Stops all workers and waits until they are gone and what they held is given up."""
        self._empty(list(self._places))
        while self._errands:
            await asyncio.wait(self._errands)

    async def members(self) -> Sequence[FleetMember]:
        """The workers by name, with those that are gone since less than half a minute."""
        horizon = time.monotonic() - GONE_SECONDS
        found = [self._member(child, self._state(child)) for child in self._running()]
        found += [self._member(child, WorkerState.STOPPING) for child in self._leaving.values()]
        found += [left.member for left in self._left if left.since > horizon]
        return sorted(found, key=lambda member: member.name)

    async def bounds(self) -> FleetBounds | None:
        """How many workers there may be."""
        return self._bounds

    async def obstacle(self) -> str:
        """Nothing ever."""
        return ""

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Sets the bounds, and the number to the nearest that they allow."""
        bounds.check()
        self._bounds = bounds
        self._set_size(bounds.clamp(self.size))
        return self._note(who, f"scaled to {bounds}", up_command(bounds))

    def resize(self, count: int, *, why: str) -> FleetAction | None:
        """Keeps up so many from now on, as far as the bounds allow; None if that changes nothing."""
        count, before = self._bounds.clamp(count), self.size
        if count == before:
            return None
        self._set_size(count)
        exactly = FleetBounds(minimum=count, maximum=count)
        return self._note(AUTOSCALER, f"scaled from {before} to {exactly} for {why}", up_command(exactly))

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Stops one worker; another one is started in its place at once."""
        command = "kill -TERM {}"
        if (leaving := self._leaving.get(name)) is not None:
            return self._note(who, f"{name} is stopping already", command.format(leaving.pid))
        for keeper in self._places.values():
            if keeper.child is not None and keeper.child.name == name and (child := keeper.replace()):
                self._send_away(child)
                return self._note(who, f"stopping {name}", command.format(child.pid))
        raise errors.WorkerUnknown(f"No worker {errors.excerpt(name)!r} runs here.")

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first."""
        return list(islice(reversed(self._actions), max(0, limit)))

    def heard(self, ready: Iterable[str]) -> None:
        """Takes note of the names of workers whose models are loaded."""
        known = self._ready
        self._ready = set(ready) & {child.name for child in self._running()}
        for name in sorted(self._ready - known):
            self._say(f"{name} is ready")

    def kill(self, name: str, *, why: str) -> None:
        """Kills a worker, if it runs, and says why; another one is started as after every death."""
        for child in self._running():
            if child.name == name:
                self._say(f"{name} (pid {child.pid}) {why}: it is killed")
                child.kill()

    def _running(self) -> list[Child]:
        return [keeper.child for keeper in self._places.values() if keeper.child is not None]

    def _state(self, child: Child) -> WorkerState:
        return WorkerState.READY if child.name in self._ready else WorkerState.STARTING

    def _member(self, child: Child, state: WorkerState) -> FleetMember:
        return FleetMember(
            name=child.name, state=state, host=self._host, pid=child.pid, started_at=child.started_at
        )

    def _set_size(self, count: int) -> None:
        self._fill(count)
        newest_first = sorted(self._places, reverse=True)
        self._empty(newest_first[: self.size - count])

    def _fill(self, count: int) -> None:
        place = 0
        while self.size < count:
            place += 1
            if place not in self._places:
                keeper = Keeper(self._launcher(place), self._died)
                self._places[place] = keeper
                keeper.start()

    def _launcher(self, place: int) -> Callable[[], Awaitable[Child]]:
        async def launch() -> Child:
            name = self._names.new(place)
            child = await self._children.start(
                name, self._command(name, self._bounds.maximum), lambda line: self._say(f"{name} | {line}")
            )
            self._say(f"{name} starts (pid {child.pid})")
            return child

        return launch

    def _empty(self, places: Sequence[int]) -> None:
        for place in places:
            keeper = self._places.pop(place)
            if (child := keeper.close()) is not None:
                self._send_away(child)
            self._run_errand(self._retire(keeper))

    async def _retire(self, keeper: Keeper) -> None:
        if (child := await keeper.closed()) is not None:
            self._send_away(child)

    def _send_away(self, child: Child) -> None:
        child.terminate()
        self._leaving[child.name] = child
        self._run_errand(self._see_off(child))

    async def _see_off(self, child: Child) -> None:
        """Waits until a worker that was asked to stop is gone."""
        ending = await child.stop(self._grace_seconds)
        del self._leaving[child.name]
        how = "does not end" if ending is None else str(ending)
        self._remember(child, how)
        self._say(f"{child.name} (pid {child.pid}) was stopped: it {how}")
        await self._give_up(child.name)

    def _died(self, death: Death) -> None:
        """A worker is dead that nobody has stopped; its keeper starts another one."""
        then = f"another one starts in {death.next_seconds:g} s"
        if death.child is None:
            self._say(f"a worker cannot be started: {death.reason}; {then}")
            return
        name = death.child.name
        what = f"{name} (pid {death.child.pid}) {death.reason}"
        self._say(f"{what}; {then}")
        self._remember(death.child, death.reason)
        self._note(SUPERVISOR, f"restarting a worker: {what}", "heliograph worker", loudly=False)
        self._run_errand(self._give_up(name))

    def _remember(self, child: Child, reason: str) -> None:
        member = replace(self._member(child, WorkerState.GONE), reason=reason)
        self._left.append(_Left(member=member, since=time.monotonic()))

    async def _give_up(self, name: str) -> None:
        """Lets others have what a worker held that is gone."""
        deadline = time.monotonic() + RELEASE_SECONDS
        while time.monotonic() < deadline:
            try:
                jobs = await self._release(name)
            except errors.CapacityError:
                await asyncio.sleep(RELEASE_PAUSE_SECONDS)
                continue
            if jobs:
                held = "the job that it held goes" if jobs == 1 else f"the {jobs} jobs that it held go"
                self._say(f"{name}: {held} to others")
            return

    def _run_errand(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _note(self, who: str, what: str, command: str, *, loudly: bool = True) -> FleetAction:
        action = FleetAction(at=time.time(), who=errors.excerpt(who), what=what, command=command)
        self._actions.append(action)
        if loudly:
            self._say(f"{what}{f' ({action.who})' if who else ''}")
        return action


class Names:
    """Names of workers: ``worker-PLACE-HEX``. None comes twice, in whichever place."""

    _STEP = 40_503
    """Odd, so that every number of four hexadecimal digits comes before one comes again."""

    def __init__(self) -> None:
        self._start = secrets.randbelow(0x10000)
        self._used = 0

    def new(self, place: int) -> str:
        """A name that was not used before."""
        rounds, _ = divmod(self._used, 0x10000)
        number = (self._start + self._used * self._STEP) % 0x10000
        self._used += 1
        return f"worker-{place}-{number:04x}{rounds or ''}"


def up_command(bounds: FleetBounds) -> str:
    """The command that starts a fleet of this size."""
    if bounds.minimum == bounds.maximum:
        return f"heliograph up --workers {bounds.minimum}"
    return f"heliograph up --min {bounds.minimum} --max {bounds.maximum}"
