"""The fleet over HTTP: real processes behind it, and a fleet that nobody here runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.adapters.fleet.children import Children, Command
from heliograph.adapters.fleet.processes import ProcessFleet
from heliograph.api.job_schemas import FleetActionShape, FleetLogShape, FleetShape
from heliograph.core.fleet import FleetBounds
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState
from heliograph.serving.access import Scope, create_key
from heliograph.serving.fleet import HeartbeatFleet
from integration.applications import application, check_problem
from integration.job_desks import Desk, desk, on_socket, stream
from integration.tiny_models import write_models
from queue_trials import MemoryTrial

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


async def no_jobs(name: str) -> int:
    return 0


@pytest.fixture
async def front(folder: Path) -> AsyncIterator[Desk]:
    """A fleet of two processes that do nothing."""
    fleet = ProcessFleet(
        lambda name, most: Command(arguments=("sleep", "100")),
        FleetBounds(minimum=2, maximum=2),
        children=Children(),
        release=no_jobs,
        say=lambda line: None,
        grace_seconds=5.0,
    )
    fleet.start()
    try:
        async with desk(folder, MemoryTrial(QueueRules()), fleet=fleet) as running:
            yield running
    finally:
        await fleet.close()


async def workers(front: Desk, *, count: int) -> dict[str, dict[str, Any]]:
    """The workers that run, by name, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        answer = (await front.client.get("/v1/fleet")).json()
        FleetShape.model_validate(answer)
        found = {one["name"]: one for one in answer["workers"] if one["state"] not in ("gone", "stopping")}
        if len(found) == count:
            return found
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.02)


async def test_workers_are_shown_with_what_they_say(front: Desk) -> None:
    first, second = await workers(front, count=2)
    info = WorkerInfo(
        name=first, state=WorkerState.BUSY, host="here", pid=7, models={"colours": "ready"}, holding=3
    )
    await front.trial.source.beat(info)
    found = await workers(front, count=2)
    assert (found[first]["state"], found[first]["holding"], found[first]["pid"]) == ("busy", 3, 7)
    assert found[first]["models"] == {"colours": "ready"}
    assert found[first]["seen_at"].endswith("Z")
    assert (found[second]["seen_at"], found[second]["reason"]) == (None, None)
    answer = (await front.client.get("/v1/fleet")).json()
    assert (answer["bounds"], answer["read_only"]) == ({"min": 2, "max": 2}, False)


WAYS: list[dict[str, Any]] = [
    {"json": {"min": 3, "max": 4}},
    {"content": "min=3&max=4", "headers": FORM},
    {"params": {"min": "3", "max": "4"}},
    {"files": {"min": (None, "3"), "max": (None, "4")}},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way)))
async def test_it_is_scaled(front: Desk, way: dict[str, Any]) -> None:
    response = await front.client.post("/v1/fleet/scale", **way)
    assert response.status_code == 200, response.text
    FleetActionShape.model_validate(response.json())
    assert response.json()["command"] == "heliograph up --min 3 --max 4"
    await workers(front, count=3)
    log = (await front.client.get("/v1/fleet/log", params={"limit": "1"})).json()
    FleetLogShape.model_validate(log)
    assert log["actions"] == [response.json()]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "parameter-invalid"),
    ({"json": {"min": 3}}, 400, "parameter-invalid"),
    ({"json": {"min": 3, "max": 2}}, 400, "parameter-invalid"),
    ({"json": {"min": -1, "max": 2}}, 400, "parameter-invalid"),
    ({"json": {"min": 1.5, "max": 2}}, 400, "parameter-invalid"),
    ({"json": {"min": True, "max": 2}}, 400, "parameter-invalid"),
    ({"json": {"min": 1, "max": 10**9}}, 400, "parameter-invalid"),
    ({"json": {"min": 1, "max": 2, "more": 1}}, 400, "parameter-invalid"),
    ({"json": {"min": None, "max": 2}}, 400, "request-malformed"),
    ({"json": {"min": [1], "max": 2}}, 400, "request-malformed"),
    ({"json": [1, 2]}, 400, "request-malformed"),
    ({"content": "{", "headers": JSON}, 400, "request-malformed"),
    ({"content": b"\xff\x00"}, 400, "request-malformed"),
    ({"content": "&".join(["a=1"] * 100), "headers": FORM}, 400, "request-malformed"),
    ({"content": "min=" + "1" * 70_000, "headers": FORM}, 413, "request-too-large"),
    ({"json": {"image": "aaaa"}}, 400, "request-malformed"),
    (
        {"json": {"min": 1, "max": 2}, "headers": {"Origin": "http://evil.example"}},
        403,
        "origin-refused",
    ),
]


@pytest.mark.parametrize(("request_", "status", "code"), REFUSED)
async def test_nonsense_scales_nothing(front: Desk, request_: dict[str, Any], status: int, code: str) -> None:
    check_problem(await front.client.post("/v1/fleet/scale", **request_), status, code)
    assert (await front.client.get("/v1/fleet")).json()["bounds"] == {"min": 2, "max": 2}
    assert (await front.client.get("/v1/fleet/log")).json() == {"actions": []}


async def test_a_worker_is_stopped_and_another_one_comes(front: Desk) -> None:
    async with on_socket(front.services) as socket, stream(socket.port) as listener:
        await listener.until("snapshot")
        first, second = await workers(front, count=2)
        response = await front.client.delete(f"/v1/fleet/workers/{first}")
        assert response.status_code == 200, response.text
        assert response.json()["command"].startswith("kill -TERM ")
        told = await listener.next()
        assert (told["event"], told["data"]["worker"]) == ("fleet", first)
        assert first in told["data"]["detail"]
        found: set[str] = set()
        while first in found or len(found) < 2:
            found = set(await workers(front, count=2))
        assert second in found


@pytest.mark.parametrize("name", ["nobody", "%2e", "a%00b", "é", "x" * 3000])
async def test_nobody_is_stopped_by_another_name(front: Desk, name: str) -> None:
    check_problem(await front.client.delete(f"/v1/fleet/workers/{name}"), 404, "worker-unknown")


async def test_where_nobody_here_runs_workers_they_are_only_shown(folder: Path) -> None:
    trial = MemoryTrial(QueueRules())
    async with desk(folder, trial, fleet=HeartbeatFleet(trial.desk)) as front:
        await trial.source.beat(WorkerInfo(name="w", state=WorkerState.READY, host="here", pid=7))
        assert list(await workers(front, count=1)) == ["w"]
        answer = (await front.client.get("/v1/fleet")).json()
        assert (answer["bounds"], answer["read_only"]) == (None, True)
        for response in (
            await front.client.post("/v1/fleet/scale", json={"min": 1, "max": 1}),
            await front.client.delete("/v1/fleet/workers/w"),
        ):
            check_problem(response, 403, "fleet-read-only")
        assert (await front.client.get("/v1/fleet/log")).json() == {"actions": []}


ROUTES = [
    ("GET", "/v1/fleet"),
    ("POST", "/v1/fleet/scale"),
    ("DELETE", "/v1/fleet/workers/w"),
    ("GET", "/v1/fleet/log"),
]


async def test_one_process_has_no_fleet_and_a_fleet_is_for_operators(folder: Path, tmp_path: Path) -> None:
    key, stored = create_key("user", [Scope.PREDICT])
    operator, stored_operator = create_key("operator", [Scope.OPERATE])
    (tmp_path / "keys").write_text(f"{stored.line()}\n{stored_operator.line()}\n")
    async with application(folder, api_keys_file=tmp_path / "keys") as app:
        for method, path in ROUTES:
            as_user = await app.client.request(method, path, headers={"Authorization": f"Bearer {key}"})
            check_problem(as_user, 403, "scope-missing")
            headers = {"Authorization": f"Bearer {operator}"}
            check_problem(await app.client.request(method, path, headers=headers), 501, "needs-queue-mode")
