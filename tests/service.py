"""Real processes of Heliograph for tests: `serve`, and whatever else is asked for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import httpx2

PATIENCE_SECONDS = 20.0
ADDRESS = re.compile(r"(?:open|answers at) http://\S+?:(\d+)\b")


def wait_for(what: str, condition: Callable[[], bool], *, patience: float = PATIENCE_SECONDS) -> None:
    """Returns once the condition holds; fails with ``what`` if it never does."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)


@dataclass
class Program:
    """A process. ``environment`` reaches the same models from the command line."""

    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]
    log_file: Path

    def log(self) -> str:
        """What the process has written so far."""
        return self.log_file.read_text()

    def stop(self, number: int = signal.SIGTERM, *, patience: float = PATIENCE_SECONDS) -> int:
        """The exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(patience)

    def runs(self) -> bool:
        """True; fails with the log if the process has ended."""
        assert self.process.poll() is None, self.log()
        return True


@dataclass
class Service(Program):
    """A process that speaks HTTP, and where it listens."""

    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=10)

    def status(self, path: str) -> int:
        """The status of a probe; 0 while nobody answers."""
        try:
            return int(self.get(path).status_code)
        except httpx2.TransportError:
            return 0

    def resident_bytes(self) -> int:
        """How much memory the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])

    def wait_until_it_answers(self, path: str, *, patience: float) -> None:
        """Returns once ``path`` has status 200; fails with the log if the process ends before."""
        wait_for("the address", self._has_address, patience=patience)
        wait_for(path, lambda: self.runs() and self.status(path) == 200, patience=patience)

    def _has_address(self) -> bool:
        if self.runs() and (found := ADDRESS.search(self.log())):
            self.port = int(found[1])
        return self.port > 0


@contextmanager
def launched(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, **settings: Any
) -> Iterator[Program]:
    """``heliograph`` with these arguments, ended at the end.

    ``settings`` are named without their prefix; those of the person who runs the tests do not count. The log goes to a
    file, so that nothing blocks on a full pipe, and at the end to pytest, which shows it beside a test that fails.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    named = {f"HELIOGRAPH_{name.upper()}": str(value) for name, value in settings.items()}
    whole = {**own, **(environment or {}), **named}
    with NamedTemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", *arguments],
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        program = Program(process, whole, Path(log.name))
        try:
            yield program
        finally:
            process.kill()
            process.wait()
            sys.stderr.write(program.log())


@contextmanager
def start_service(
    environment: Mapping[str, str] | None = None,
    *,
    until: str | None = "/readyz",
    patience: float = PATIENCE_SECONDS,
    command: str = "serve",
    **settings: Any,
) -> Iterator[Service]:
    """Starts ``serve`` or ``gateway`` on a free port, waits until ``until`` is answered, and stops it at the end.

    ``until`` of None does not wait.
    """
    with launched([command, "--port", "0"], environment, **settings) as program:
        service = Service(program.process, program.environment, program.log_file)
        if until is not None:
            service.wait_until_it_answers(until, patience=patience)
        yield service
        if service.process.poll() is None:
            service.stop()
