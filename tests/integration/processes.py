"""A real ``heliograph serve`` on a free port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

PATIENCE_SECONDS = 20.0
BOUNDARY = "parting"


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails with ``what`` if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.01)


@dataclass
class Server:
    """The process and the addresses that it printed."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
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

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def resident_bytes(self) -> int:
        """How much memory the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


def start(folder: Path, *arguments: str, **settings: object) -> Server:
    """A server process with the models of ``folder``; ``settings`` without their prefix."""
    chosen = {"models": "colours", "classification_model": "colours", "model_dir": folder, **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    environment |= {f"HELIOGRAPH_{name.upper()}": str(value) for name, value in chosen.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph", "serve", "--port", "0", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    return Server(process)


@contextmanager
def serving(folder: Path, *, until: str = "/readyz", **settings: object) -> Iterator[Server]:
    """A server that answers ``until`` with 200; it is gone at the end."""
    server = start(folder, **settings)
    stderr = server.process.stderr
    assert stderr is not None
    reader = threading.Thread(target=lambda: server.lines.extend(iter(stderr.readline, "")))
    reader.start()
    try:
        wait_for("the address", lambda: _has_address(server))
        wait_for(until, lambda: server.status(until) == 200)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        reader.join()
        stderr.close()


def _has_address(server: Server) -> bool:
    assert server.process.poll() is None, server.lines
    for line in list(server.lines):
        if found := re.search(r"open http://\S+?:(\d+) ", line):
            server.port = int(found[1])
            return True
    return False


@dataclass
class Answer:
    """One answer as it came from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_bytes(
    path: str, body: bytes = b"", *, method: str = "POST", headers: dict[str, str] | None = None
) -> bytes:
    """A request as it goes over the wire; a header of None is left out."""
    fields = {"Host": "localhost", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer of a connection, whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body)


async def ask_once(port: int, request: bytes) -> Answer:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await read_answer(reader)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
