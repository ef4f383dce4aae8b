"""A real ``heliograph serve`` process for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready. ``environment`` reaches the same models from the command line."""

    port: int
    process: subprocess.Popen[str]
    environment: Mapping[str, str]
    removes_backgrounds: bool

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def start_service(
    settings: Mapping[str, str], log: Path, *, removes_backgrounds: bool = False
) -> Iterator[Service]:
    """Starts the service on a free port, waits until it is ready, and stops it at the end.

    Its log goes to a file, so that nothing blocks on a full pipe.
    """
    environment = {**os.environ, **settings}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "serve", "--port", "0"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=output,
            text=True,
        )
    try:
        port = _port(process, log)
        _wait_until_ready(process, port, log)
        yield Service(port, process, environment, removes_backgrounds)
    finally:
        process.terminate()
        process.wait(30)


def _port(process: subprocess.Popen[str], log: Path) -> int:
    """The port in the line with which the service announces itself."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if match := re.search(r"http://\S+?:(\d+)", log.read_text()):
            return int(match[1])
        time.sleep(0.02)
    raise AssertionError(f"The service did not start:\n{log.read_text()}")


def _wait_until_ready(process: subprocess.Popen[str], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError(f"The service did not get ready:\n{log.read_text()}")
