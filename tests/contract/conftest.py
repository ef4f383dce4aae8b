"""Queues of one test each: in memory, on Valkey, and on Redis where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from blob_trials import OffloadedTrial
from heliograph.core.queue import QueueRules
from queue_servers import BINARIES, QueueServer, queue_server
from queue_trials import MakeTrial, MemoryTrial, RedisTrial, Trial, end

Servers: TypeAlias = Callable[[str], QueueServer]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Running servers by name, each started when it is first asked for."""
    running: dict[str, QueueServer] = {}
    with ExitStack() as stack:

        def running_server(name: str) -> QueueServer:
            if name not in running:
                running[name] = stack.enter_context(queue_server(name))
            with running[name].client() as client:
                client.flushall()
            return running[name]

        yield running_server


@pytest.fixture(params=["memory", *BINARIES, "valkey and a folder"])
async def make_trial(
    request: pytest.FixtureRequest, servers: Servers, tmp_path: Path
) -> AsyncIterator[MakeTrial]:
    """Makes the queue of a test, given its rules. After the test nothing of it may be left behind."""
    trials: list[Trial] = []

    def make(**rules: Any) -> Trial:
        numbers = QueueRules(**rules)
        name, _, has_folder = request.param.partition(" ")
        trial: Trial = MemoryTrial(numbers) if name == "memory" else RedisTrial(numbers, servers(name))
        trials.append(OffloadedTrial(trial, tmp_path) if has_folder else trial)
        return trials[-1]

    yield make
    for trial in trials:
        await end(trial)
        await trial.close()


@pytest.fixture
def trial(make_trial: MakeTrial) -> Trial:
    """A queue with the usual rules."""
    return make_trial()


@pytest.fixture(params=list(BINARIES))
def server(request: pytest.FixtureRequest, servers: Servers) -> Iterator[QueueServer]:
    """A running, empty server; what a test sets or ends is as before afterwards."""
    running = servers(request.param)
    yield running
    if running.process is None:
        running.start()
    with running.client() as client:
        client.config_set("maxmemory", 0)


@pytest.fixture
async def server_trial(server: QueueServer) -> AsyncIterator[RedisTrial]:
    """A queue of which nothing may be left behind."""
    queue = RedisTrial(QueueRules(), server)
    yield queue
    if server.process is None:
        server.start()
    queue.client.config_set("maxmemory", 0)
    await end(queue)
    await queue.close()
