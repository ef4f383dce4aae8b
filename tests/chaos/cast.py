"""The processes of one play: a server, a gateway, workers, and proxies between them. Whoever dies comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fault_proxy import FaultProxy, fault_proxy
from queue_servers import QueueServer, queue_server
from service import wait_for

QUEUE = "chaos"
STOP_SECONDS = 45.0
KILLED = (-signal.SIGKILL, -signal.SIGFPE)
LAST_CHARACTERS = 20_000
TOO_EARLY = -signal.SIGTERM
"""It was told to stop before it had begun to listen to that."""


@dataclass
class Actor:
    """A process that is started again under another name whenever it has ended."""

    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = None
    lives: int = 0
    is_stopping: bool = False
    stops_by: float = 0.0
    ends: list[int] = field(default_factory=list)
    """Exit statuses of its lives."""

    def start(self) -> None:
        """Begins a new life; the log goes on."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "heliograph", *self.arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.lives += 1
        self.is_stopping = False

    def send(self, number: signal.Signals) -> None:
        """A signal, if it lives."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            if number is signal.SIGTERM:
                self.is_stopping, self.stops_by = True, time.monotonic() + STOP_SECONDS

    def revive(self) -> None:
        """Starts it again if it has ended. Told to stop, it must have ended well."""
        if self.process is None or (status := self.process.poll()) is None:
            assert not self.is_stopping or time.monotonic() < self.stops_by, f"{self.role} does not stop"
            return
        allowed = (0, TOO_EARLY, *KILLED) if self.is_stopping else KILLED
        assert status in allowed, f"{self.role} ended with {status}"
        self.ends.append(status)
        self.start()

    def end(self) -> None:
        """Ends it for good."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)


@dataclass
class Cast:
    """All of them, and where they are found."""

    server: QueueServer
    proxies: Mapping[str, FaultProxy]
    gateway: Actor
    workers: tuple[Actor, ...]
    folder: Path | None
    """Where payloads and results lie, if not on the server."""

    @property
    def url(self) -> str:
        """Where clients find the gateway in each of its lives, through a proxy."""
        return f"http://127.0.0.1:{self.proxies['clients'].port}"

    @property
    def actors(self) -> tuple[Actor, ...]:
        """All that may be killed and come back."""
        return (self.gateway, *self.workers)

    def revive(self) -> None:
        """Starts whoever has ended."""
        for actor in self.actors:
            actor.revive()

    def logs(self) -> str:
        """What all of them wrote."""
        return "\n".join(actor.log_file.read_text() for actor in self.actors)

    def last_words(self) -> str:
        """The end of what each of them wrote."""
        return "\n".join(
            f"--- {actor.log_file}\n{actor.log_file.read_text()[-LAST_CHARACTERS:]}" for actor in self.actors
        )


@contextmanager
def cast(name: str, folder: Path, *, workers: int, **settings: object) -> Iterator[Cast]:
    """Everybody on a server of this name. Clients, the gateway and half of the workers go through a proxy each."""
    port = _free_port()
    with ExitStack() as stack:
        server = stack.enter_context(queue_server(name))
        targets: Mapping[str, str | int] = {
            "clients": port,
            "gateway": f"{server.folder}/socket",
            "workers": f"{server.folder}/socket",
        }
        proxies = {who: stack.enter_context(fault_proxy(target)) for who, target in targets.items()}
        urls = [proxies["workers"].url if number % 2 else server.url for number in range(workers)]
        arguments = ("gateway", "--port", str(port))
        gateway = _actor("gateway", arguments, folder, proxies["gateway"].url, settings)
        others = tuple(
            _actor(f"worker-{number}", ("worker",), folder, url, settings) for number, url in enumerate(urls)
        )
        blobs = settings.get("blob_dir")
        play = Cast(server, proxies, gateway, others, blobs if isinstance(blobs, Path) else None)
        for actor in play.actors:
            stack.callback(actor.end)
            actor.start()
        wait_for("the gateway", lambda: "answers at" in gateway.log_file.read_text())
        yield play


def _actor(
    role: str, arguments: tuple[str, ...], folder: Path, url: str, settings: Mapping[str, object]
) -> Actor:
    own = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    chosen = {"redis_url": url, "worker_name": role, "queue": QUEUE, "threads": 1, **settings}
    named = {f"HELIOGRAPH_{name.upper()}": str(value) for name, value in chosen.items()}
    log_file = folder / f"{role}.log"
    log_file.touch()
    return Actor(role, arguments, {**own, **named}, log_file)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
