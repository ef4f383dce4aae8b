"""A real worker that is frozen is replaced."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from fleet_trials import Watcher, eventually
from heliograph.adapters.fleet.children import Children
from heliograph.adapters.fleet.processes import ProcessFleet
from heliograph.bootstrap.parts import background
from heliograph.bootstrap.queues import server_queue
from heliograph.bootstrap.up_children import worker_command
from heliograph.core.fleet import FleetBounds
from heliograph.serving.silence import Silence, hear
from heliograph.settings import Settings
from integration.tiny_models import write_models
from queue_servers import queue_server

pytestmark = pytest.mark.fleet
PATIENCE_SECONDS = 40.0


@pytest.mark.anyio
async def test_a_worker_that_is_frozen_is_killed_and_replaced_and_its_neighbour_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MODEL_DIR": str(write_models(tmp_path)),
        "MODELS": "colours",
        "CLASSIFICATION_MODEL": "colours",
    }.items():
        monkeypatch.setenv(f"HELIOGRAPH_{name}", value)
    watcher = Watcher()
    with queue_server("valkey") as server:
        settings = Settings(redis_url=SecretStr(server.url), threads=1)
        async with server_queue(settings) as queue:
            fleet = ProcessFleet(
                partial(worker_command, settings),
                FleetBounds(minimum=2, maximum=2),
                children=Children(),
                release=queue.source.release,
                say=watcher.say,
                grace_seconds=10.0,
            )
            silence = Silence(clock=time.monotonic, silent_seconds=5.0, young_seconds=1.0)
            fleet.start()
            try:
                async with background(hear(fleet, queue.desk, silence)):
                    await eventually("two", lambda: ready(watcher) == 2, patience=PATIENCE_SECONDS)
                    first, second = await fleet.members()
                    os.kill(first.pid, signal.SIGSTOP)
                    await eventually("another", lambda: ready(watcher) == 3, patience=PATIENCE_SECONDS)
                    assert second.name in {member.name for member in await fleet.members()}
            finally:
                await fleet.close()
    lines = watcher.lines
    what = f"{first.name} (pid {first.pid})"
    assert lines.count(f"{what} lives, but was not heard of for 5 s: it is killed") == 1
    assert f"{what} was killed by SIGKILL; another one starts in 0.5 s" in lines
    assert sum("it is killed" in line for line in lines) == 1


def ready(watcher: Watcher) -> int:
    """How many workers have become ready."""
    return sum(line.endswith(" is ready") for line in watcher.lines)
