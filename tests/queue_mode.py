"""Gateways and workers as real processes on a real queue."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from queue_servers import QueueServer
from service import Program, Service, launched, start_service, wait_for

MODELS = {
    "models": "colours,busy-colours,slow-colours,brightness",
    "classification_model": "colours",
    "background_model": "brightness",
}


@dataclass
class QueueMode:
    """What runs on one queue; ended with the context that made it."""

    server: QueueServer
    settings: dict[str, Any]
    stack: ExitStack = field(default_factory=ExitStack)

    def gateway(self, **settings: Any) -> Service:
        """One more gateway, which answers."""
        return self.stack.enter_context(start_service(command="gateway", **{**self.settings, **settings}))

    def worker(self, *, until: str = "queue connected", **settings: Any) -> Program:
        """One more worker, which takes jobs."""
        program = self.stack.enter_context(launched(["worker"], **{**self.settings, **settings}))
        wait_for("a worker", lambda: program.runs() and until in program.log())
        return program


@contextmanager
def queue_mode(server: QueueServer, models: Path, /, **settings: Any) -> Iterator[QueueMode]:
    """Processes on one server, with the tiny models in the folder ``models``."""
    chosen = {
        "model_dir": models,
        "redis_url": server.url,
        "threads": 1,
        "drain_seconds": 0,
        **MODELS,
        **settings,
    }
    with ExitStack() as stack:
        yield QueueMode(server, chosen, stack)


def name_of(worker: Program) -> str:
    """The name that a worker gave itself."""
    found = re.search(r"Heliograph: worker (\S+?)(?:,|$)", worker.log(), re.M)
    assert found, worker.log()
    return found[1]


def kill(program: Program) -> None:
    """Ends a process without a word."""
    program.process.send_signal(signal.SIGKILL)
    program.process.wait(10)


def submit(gateway: Service, pictures: Sequence[tuple[str, bytes]], **fields: str) -> dict[str, Any]:
    """The receipt of jobs."""
    files = [("image", picture) for picture in pictures]
    answer = httpx2.post(f"{gateway.url}/v1/jobs", files=files, data=fields, timeout=30)
    assert answer.status_code == 202, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def jobs_of(gateway: Service, group: str) -> list[dict[str, Any]]:
    """All jobs of a group as they stand."""
    jobs: list[dict[str, Any]] = []
    offset = 0
    while True:
        answer = httpx2.get(f"{gateway.url}/v1/groups/{group}?offset={offset}&limit=500", timeout=30).json()
        jobs += answer["jobs"]
        if "next_offset" not in answer:
            return jobs
        offset = answer["next_offset"]


def wait_until_finished(gateway: Service, group: str, *, patience: float = 60) -> list[dict[str, Any]]:
    """The jobs of a group once all are final."""

    def finished() -> bool:
        answer = httpx2.get(f"{gateway.url}/v1/groups/{group}?limit=1", timeout=30)
        return answer.status_code == 200 and bool(answer.json()["finished"])

    wait_for("a group to finish", finished, patience=patience)
    return jobs_of(gateway, group)
