"""Somebody who sees everything on the server: each event of each job, and whether the lag is exact."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import redis

from heliograph.adapters.queue.keys import CONSUMER_GROUP, Keys
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core import errors
from heliograph.core.events import JOB_KINDS, EventKind
from heliograph.core.jobs import Priority
from heliograph.core.queue import QueueRules

LOOK_SECONDS = 0.1
ONCE = (EventKind.DONE, EventKind.FAILED, EventKind.CANCELLED)
SETTLED = (*ONCE, EventKind.DEAD)


class Place(Protocol):
    """A server that is watched."""

    @property
    def url(self) -> str:
        """Its address."""

    def client(self) -> redis.Redis:
        """A connection."""


@dataclass
class Spell:
    """A time in which a stream's lag was wrong."""

    stream: str
    begun: float
    ended: float | None = None


@dataclass
class Witness:
    """Watches a queue from two threads, directly on its server, through all that happens to it."""

    server: Place
    queue: str
    events: dict[str, list[EventKind]] = field(default_factory=lambda: defaultdict(list))
    """What happened to each job, in order."""
    settled_at: list[float] = field(default_factory=list)
    spells: list[Spell] = field(default_factory=list)
    looks: int = 0
    failures: list[str] = field(default_factory=list)
    _ends: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begins to watch, before anything happens."""
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._watch_events, self._watch_lag)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Has seen everything that happened before."""
        self._ends.set()
        for thread in self._threads:
            thread.join(30)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except Exception as error:
            self.failures.append(f"witness: {type(error).__name__}: {error}")

    def longest_gap(self) -> float:
        """The longest time in which no job became final, in seconds."""
        settled = sorted(self.settled_at)
        return max((after - before for before, after in pairwise(settled)), default=0.0)

    def happened_twice(self) -> list[str]:
        """Jobs that did not happen as one should: accepted once, final once, and nothing afterwards.

        A dead one may be queued again.
        """
        return [job_id for job_id, kinds in self.events.items() if not _is_one_life(kinds)]

    # Events

    def _watch_events(self) -> None:
        asyncio.run(self._read_events())

    async def _read_events(self) -> None:
        server = RedisServer(self.server.url, self.queue)
        desk = RedisDesk(server, QueueRules())
        place = "0-0"
        while True:
            is_last = self._ends.is_set()
            try:
                page = await desk.events(place, wait_seconds=0.0 if is_last else 0.5)
            except errors.QueueUnavailable:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            assert page.is_complete, f"events after {place} are lost"
            place = page.last_id
            for event in page.events:
                if event.kind in JOB_KINDS:
                    self.settled_at += [event.at] * (event.kind in SETTLED)
                    for job_id in event.job_ids:
                        self.events[job_id].append(event.kind)
            if is_last and not page.events:
                break
        await desk.close()

    # Lag

    def _watch_lag(self) -> None:
        keys = Keys(self.queue)
        wrong: dict[str, Spell] = {}
        while not self._ends.wait(LOOK_SECONDS):
            try:
                with self.server.client() as client:
                    for priority in Priority:
                        self._judge(client, keys.stream(priority), keys.single("kept"), wrong)
            except redis.RedisError:
                continue

    def _judge(self, client: Any, stream: str, kept: str, wrong: dict[str, Spell]) -> None:
        """The lag is right if it is what is in the stream and neither held nor kept."""
        if not client.exists(stream):
            return
        with client.pipeline(transaction=True) as pipe:
            pipe.xlen(stream).hexists(kept, stream).xinfo_groups(stream)
            length, is_kept, groups = pipe.execute()
        self.looks += 1
        for group in groups:
            if group["name"] in (CONSUMER_GROUP, CONSUMER_GROUP.encode()):
                if group["lag"] == length - group["pending"] - int(is_kept):
                    if stream in wrong:
                        wrong.pop(stream).ended = time.time()
                elif stream not in wrong:
                    wrong[stream] = Spell(stream, time.time())
                    self.spells.append(wrong[stream])


def _is_one_life(kinds: Sequence[EventKind]) -> bool:
    begun_once = kinds[0] is EventKind.ACCEPTED and EventKind.ACCEPTED not in kinds[1:]
    ended_once = kinds[-1] in SETTLED and not any(kind in ONCE for kind in kinds[:-1])
    dead_again = all(
        before is not EventKind.DEAD or after is EventKind.REQUEUED for before, after in pairwise(kinds)
    )
    return begun_once and ended_once and dead_again
