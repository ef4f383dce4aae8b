"""What happens to the cast, by chance: each fault makes something break now and heal some time later."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import redis

from chaos.cast import Actor, Cast
from chaos.chance import Chance
from fault_proxy import FaultProxy

SERVER = "server"
SERVER_PAUSES = (0.2, 3.0)
HANGS = (0.5, 7.0)
"""Some of them longer than a process waits for an answer."""


@dataclass(frozen=True, slots=True)
class Wound:
    """What is broken: who, when it heals, and how."""

    what: str
    whom: str
    heals_at: float
    heal: Callable[[], None]


Fault: TypeAlias = Callable[["Fate"], Wound | None]


@dataclass
class Fate:
    """Chooses faults from a seed and heals them. Nobody has two at the same time."""

    cast: Cast
    chance: Chance
    wounds: list[Wound] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    server_deaths: list[float] = field(default_factory=list)
    """When the server was killed, by the wall clock."""

    def strike(self) -> None:
        """Makes one fault, unless all whom it may happen to have one already."""
        name, weight = zip(*WEIGHTS.items(), strict=True)
        (what,) = self.chance.choices(name, weight)
        wound = FAULTS[what](self)
        if wound is not None:
            self.wounds.append(wound)
            self.counts[what] += 1

    def heal(self, *, everything: bool = False) -> None:
        """Heals what has had its time."""
        for wound in list(self.wounds):
            if everything or time.monotonic() >= wound.heals_at:
                self.wounds.remove(wound)
                wound.heal()

    def spared(self, names: Sequence[str]) -> list[str]:
        """Those of them who have no wound."""
        return [name for name in names if name not in {wound.whom for wound in self.wounds}]

    def wound(
        self, what: str, whom: str, seconds: tuple[float, float], heal: Callable[[], None] = lambda: None
    ) -> Wound:
        """One that heals after so long."""
        return Wound(what, whom, time.monotonic() + self.chance.uniform(*seconds), heal)

    def a_worker(self) -> Actor | None:
        """One without a wound."""
        workers = {actor.role: actor for actor in self.cast.workers}
        names = self.spared(list(workers))
        return workers[self.chance.choice(names)] if names else None

    def a_proxy(self) -> tuple[str, FaultProxy] | None:
        """One without a wound."""
        names = self.spared(list(self.cast.proxies))
        if not names:
            return None
        name = self.chance.choice(names)
        return name, self.cast.proxies[name]


def _signalled(what: str, number: signal.Signals, seconds: tuple[float, float]) -> Fault:
    def fault(fate: Fate) -> Wound | None:
        actor = fate.cast.gateway if what.endswith("gateway") else fate.a_worker()
        if actor is None or not fate.spared([actor.role]):
            return None
        actor.send(number)
        return fate.wound(what, actor.role, seconds, lambda: actor.send(signal.SIGCONT))

    return fault


def _kill_server(fate: Fate) -> Wound | None:
    if not fate.spared([SERVER]):
        return None
    fate.server_deaths.append(time.time())
    fate.cast.server.kill()
    return fate.wound("kill server", SERVER, SERVER_PAUSES, fate.cast.server.start)


def _pause_server(fate: Fate) -> Wound | None:
    process = fate.cast.server.process
    if not fate.spared([SERVER]) or process is None:
        return None
    process.send_signal(signal.SIGSTOP)
    return fate.wound("pause server", SERVER, HANGS, lambda: process.send_signal(signal.SIGCONT))


def _fill_server(fate: Fate) -> Wound | None:
    if not fate.spared([SERVER]):
        return None
    with fate.cast.server.client() as client:
        client.config_set("maxmemory", 1_000_000)
    return fate.wound("fill server", SERVER, (0.5, 3.0), lambda: _empty_server(fate.cast))


def _empty_server(cast: Cast) -> None:
    with cast.server.client() as client:
        client.config_set("maxmemory", 0)


def _on_a_proxy(
    what: str,
    fault: Callable[[FaultProxy], None],
    seconds: tuple[float, float],
    heal: Callable[[FaultProxy], None] = FaultProxy.heal,
) -> Fault:
    def strike(fate: Fate) -> Wound | None:
        chosen = fate.a_proxy()
        if chosen is None:
            return None
        name, proxy = chosen
        fault(proxy)
        return fate.wound(what, name, seconds, lambda: heal(proxy))

    return strike


def _lose(proxy: FaultProxy) -> None:
    """What is held never comes."""
    proxy.cut()
    proxy.heal()


def _slow(proxy: FaultProxy) -> None:
    proxy.slow(latency_seconds=0.05, bytes_per_second=200_000)


def _forget_scripts(fate: Fate) -> Wound | None:
    if not fate.spared([SERVER]):
        return None
    with suppress(redis.RedisError), fate.cast.server.client() as client:
        client.script_flush()
    return fate.wound("forget scripts", SERVER, (0.0, 0.0))


FAULTS: Mapping[str, Fault] = {
    "kill worker": _signalled("kill worker", signal.SIGKILL, (1.0, 2.0)),
    "pause worker": _signalled("pause worker", signal.SIGSTOP, (0.5, 8.0)),
    "stop worker": _signalled("stop worker", signal.SIGTERM, (2.0, 4.0)),
    "kill gateway": _signalled("kill gateway", signal.SIGKILL, (2.0, 4.0)),
    "stop gateway": _signalled("stop gateway", signal.SIGTERM, (2.0, 4.0)),
    "kill server": _kill_server,
    "pause server": _pause_server,
    "fill server": _fill_server,
    "forget scripts": _forget_scripts,
    "slow connection": _on_a_proxy("slow connection", _slow, (1.0, 3.0)),
    "held connection": _on_a_proxy("held connection", FaultProxy.hold, HANGS),
    "lost answers": _on_a_proxy("lost answers", FaultProxy.hold_answers, (0.2, 2.0), _lose),
    "cut connection": _on_a_proxy("cut connection", FaultProxy.cut, (0.0, 0.2)),
    "refused connection": _on_a_proxy("refused connection", FaultProxy.refuse, (0.2, 3.0)),
}
WEIGHTS: Mapping[str, float] = dict.fromkeys(FAULTS, 1.0) | {
    "kill worker": 3.0,
    "pause worker": 3.0,
    "stop worker": 2.0,
}
