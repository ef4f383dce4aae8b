"""Workers that live and say nothing: one that was heard of, and then not for a while, hangs and is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from heliograph.core import errors
from heliograph.core.fleet import FleetMember
from heliograph.core.ports import Clock
from heliograph.core.queue import JobDesk
from heliograph.core.workers import SERVING, WorkerInfo, WorkerState

SILENT_SECONDS = 30.0
"""After how long without a heartbeat a worker hangs."""
YOUNG_SECONDS = 60.0
"""How long a worker may take to begin, whatever is heard of it."""
LOOK_SECONDS = 1.0
LATE_SECONDS = 10.0
"""After so long without a look we were stopped ourselves, perhaps with the whole machine."""

KEPT_UP = (WorkerState.STARTING, WorkerState.READY)


@dataclass(slots=True)
class _Life:
    """Since when we know a worker, and when its last sign came, by our clock and by the queue's (0.0 for none yet)."""

    since: float
    heard_at: float
    seen_at: float = 0.0


class Silence:
    """Says which workers hang. To be asked again and again."""

    def __init__(
        self,
        *,
        clock: Clock,
        silent_seconds: float = SILENT_SECONDS,
        young_seconds: float = YOUNG_SECONDS,
    ) -> None:
        self.silent_seconds = silent_seconds
        self._young_seconds = young_seconds
        self._clock = clock
        self._lives: dict[str, _Life] = {}
        self._looked_at = clock()

    def forget(self) -> None:
        """Nobody could be heard until now; every silence begins anew."""
        for life in self._lives.values():
            life.heard_at = self._clock()

    def hanging(self, running: Iterable[str], heard: Iterable[WorkerInfo]) -> Sequence[str]:
        """Those of the running workers that hang, given what the queue has heard; each once in a silence."""
        now = self._clock()
        if now - self._looked_at > LATE_SECONDS:
            self.forget()
        self._looked_at = now
        seen = {info.name: info.seen_at for info in heard}
        self._lives = {
            name: self._lives.get(name) or _Life(since=now, heard_at=now) for name in sorted(running)
        }
        found = []
        for name, life in self._lives.items():
            if (seen_at := seen.get(name, life.seen_at)) != life.seen_at:
                life.seen_at, life.heard_at = seen_at, now
            is_grown_up = now - life.since >= self._young_seconds
            if life.seen_at and is_grown_up and now - life.heard_at >= self.silent_seconds:
                found.append(name)
                life.heard_at = now
        return found


class KillableFleet(Protocol):
    """A fleet that is told what its workers say of themselves."""

    async def members(self) -> Sequence[FleetMember]:
        """The workers."""

    def heard(self, ready: Iterable[str]) -> None:
        """Takes note of the names of workers whose models are loaded."""

    def kill(self, name: str, *, why: str) -> None:
        """Kills a worker, if it runs; another one takes its place."""


async def hear(fleet: KillableFleet, desk: JobDesk, silence: Silence) -> None:
    """Tells the fleet which of its workers are ready and kills those that hang, until it is cancelled."""
    while True:
        try:
            await _listen(fleet, desk, silence)
        except errors.CapacityError:
            silence.forget()
        await asyncio.sleep(LOOK_SECONDS)


async def _listen(fleet: KillableFleet, desk: JobDesk, silence: Silence) -> None:
    heard = await desk.workers()
    fleet.heard(info.name for info in heard if info.state in SERVING)
    running = [member.name for member in await fleet.members() if member.state in KEPT_UP]
    for name in silence.hanging(running, heard):
        fleet.kill(name, why=f"lives, but was not heard of for {silence.silent_seconds:g} s")
