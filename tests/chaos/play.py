"""One play: jobs go in while faults strike, then everything heals, and what came out is proved to be right."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaos.cast import QUEUE, Cast
from chaos.chance import Chance
from chaos.clients import Asker, Client, Ledger, Sort, Submitter, Watcher
from chaos.faults import Fate
from chaos.pictures import CAN_KILL
from chaos.witness import Witness
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core.jobs import QueueCounts
from heliograph.core.queue import QueueRules

SUBMITTERS = 3
TICK_SECONDS = 0.05
SETTLE_SECONDS = 150.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """How much happens.

    Args:
        jobs: pictures that are sent in groups.
        seconds: in which they are sent, if that is possible.
        pause_seconds: between two faults.
        poisons: pictures that kill whoever computes them.
        seed: of all chance.
    """

    jobs: int
    seconds: float
    pause_seconds: tuple[float, float]
    poisons: int
    seed: int


@dataclass
class Play:
    """What happened, for the proof."""

    cast: Cast
    plot: Plot
    ledger: Ledger
    witness: Witness
    fate: Fate
    seconds_to_send: float = 0.0
    seconds_to_settle: float = 0.0


def perform(cast: Cast, plot: Plot) -> Play:
    """Plays until everything has settled with no fault left."""
    chance = Chance(plot.seed)
    play = Play(cast, plot, Ledger(), Witness(cast.server, QUEUE), Fate(cast, chance))
    play.witness.start()
    ends = threading.Event()
    submitters = _submitters(play, chance, ends)
    others = [kind(cast.url, play.ledger, Chance(chance.random()), ends) for kind in (Watcher, Asker)]
    for client in (*submitters, *others):
        client.start()
    begun = time.monotonic()
    _torment(play, submitters)
    play.seconds_to_send = time.monotonic() - begun
    play.fate.heal(everything=True)
    ends.set()
    healed = time.monotonic()
    _wait(play, "the clients", lambda: not any(client.is_alive() for client in (*submitters, *others)))
    _wait(play, "all jobs to settle", lambda: is_settled(cast))
    play.seconds_to_settle = time.monotonic() - healed
    return play


def _submitters(play: Play, chance: Chance, ends: threading.Event) -> Sequence[Client]:
    plot = play.plot
    sorts = [Sort.BROKEN if chance.random() < 0.02 else Sort.GOOD for _ in range(plot.jobs)]
    for place in chance.sample(range(plot.jobs // 3), plot.poisons if CAN_KILL else 0):
        sorts[place] = Sort.POISON
    every = list(zip(sorts, range(plot.jobs), strict=True))
    return [
        Submitter(
            play.cast.url,
            play.ledger,
            Chance(chance.random()),
            ends,
            pictures_=every[first::SUBMITTERS],
            seconds=plot.seconds,
        )
        for first in range(SUBMITTERS)
    ]


def _torment(play: Play, submitters: Sequence[Client]) -> None:
    """Faults strike until all is sent."""
    chance, fate = play.fate.chance, play.fate
    deadline = time.monotonic() + play.plot.seconds + SETTLE_SECONDS
    next_strike = time.monotonic()
    while any(submitter.is_alive() for submitter in submitters):
        _look_after(play)
        fate.heal()
        if time.monotonic() >= next_strike:
            fate.strike()
            next_strike = time.monotonic() + chance.uniform(*play.plot.pause_seconds)
        assert time.monotonic() < deadline, "clients do not get done"
        time.sleep(TICK_SECONDS)


def _look_after(play: Play) -> None:
    """Whoever is dead comes back; whatever went wrong ends the play."""
    play.cast.revive()
    wrong = play.ledger.failures + play.witness.failures
    assert not wrong, "\n".join(wrong)


def _wait(play: Play, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not condition():
        _look_after(play)
        assert time.monotonic() < deadline, f"waited in vain for {what}: {counts_of(play.cast)}"
        time.sleep(TICK_SECONDS)


def wait_until_settled(play: Play) -> None:
    """Returns once no job waits or runs."""
    _wait(play, "all jobs to settle", lambda: is_settled(play.cast))


def is_settled(cast: Cast) -> bool:
    """Whether no job waits or runs."""
    return not any(backlog.waiting + backlog.running for backlog in counts_of(cast).backlog.values())


def counts_of(cast: Cast) -> QueueCounts:
    """The queue in numbers, from its server."""
    return asked(cast, lambda desk: desk.counts())


def asked(cast: Cast, question: Callable[[RedisDesk], Awaitable[T]]) -> T:
    """What the queue's desk answers, with no proxy in between."""

    async def ask() -> T:
        desk = RedisDesk(RedisServer(cast.server.url, QUEUE), QueueRules())
        try:
            return await question(desk)
        finally:
            await desk.close()

    return asyncio.run(ask())
