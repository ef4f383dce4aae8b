"""Jobs belong to the key that sent them; operators see all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from heliograph.core.events import EventKind
from heliograph.core.queue import QueueRules
from heliograph.serving.access import Scope, create_key
from integration.applications import check_problem
from integration.job_desks import LABELLED, LABELS, Desk, desk, on_socket, stream
from integration.tiny_models import colour_picture, write_models
from queue_trials import MemoryTrial

RED = colour_picture("red")


@dataclass
class Door:
    """An application with keys: those of two users, and of one who may only operate."""

    desk: Desk
    one: dict[str, str]
    other: dict[str, str]
    operator: dict[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def door(folder: Path, tmp_path: Path) -> AsyncIterator[Door]:
    made = [
        create_key("one", [Scope.PREDICT]),
        create_key("other", [Scope.PREDICT]),
        create_key("operator", [Scope.OPERATE]),
    ]
    (tmp_path / "keys").write_text("".join(f"{stored.line()}\n" for _, stored in made))
    headers = [{"Authorization": f"Bearer {key}"} for key, _ in made]
    async with desk(folder, MemoryTrial(QueueRules()), api_keys_file=tmp_path / "keys") as running:
        yield Door(running, *headers)


async def test_what_others_sent_does_not_exist(door: Door) -> None:
    client = door.desk.client
    receipt = (await door.desk.send(RED, headers=door.one)).json()
    path, group = f"/v1/jobs/{receipt['jobs'][0]['id']}", f"/v1/groups/{receipt['group']}"
    await door.desk.answer(LABELLED)
    for method, address in (
        ("GET", path),
        ("GET", f"{path}/result"),
        ("DELETE", path),
        ("POST", f"{path}/requeue"),
        ("GET", group),
    ):
        refused = await client.request(method, address, headers=door.other)
        check_problem(refused, 404, "job-unknown")
        check_problem(await client.request(method, address), 401, "key-missing")
    assert (await client.get("/v1/jobs", headers=door.other)).json() == {"jobs": []}
    for reader in (door.one, door.operator):
        assert (await client.get(f"{path}/result", headers=reader)).json() == LABELS
        assert (await client.get(group, headers=reader)).json()["owner"] == "one"
        assert len((await client.get("/v1/jobs", headers=reader)).json()["jobs"]) == 1
    assert (await client.delete(path, headers=door.operator)).json()["expired"] is True


async def test_who_may_only_operate_sends_no_pictures(door: Door) -> None:
    check_problem(await door.desk.send(RED, headers=door.operator), 403, "scope-missing")


async def test_an_idempotency_key_belongs_to_its_sender(door: Door) -> None:
    once = {"Idempotency-Key": "once"}
    groups = [
        (await door.desk.send(RED, headers={**who, **once})).json()["group"]
        for who in (door.one, door.other, door.one)
    ]
    assert groups[0] == groups[2] != groups[1]


async def test_events_of_jobs_go_to_their_owner_and_to_operators(door: Door) -> None:
    async with (
        on_socket(door.desk.services) as socket,
        stream(socket.port, **door.one) as one,
        stream(socket.port, **door.other) as other,
        stream(socket.port, **door.operator) as operator,
        stream(socket.port) as nobody,
    ):
        assert nobody.status == 401
        for each in (one, other):
            assert (await each.next())["data"] == {"queue": None, "workers": []}
        assert (await operator.next())["data"]["queue"]["accepted"] == 0
        await door.desk.trial.desk.tell(EventKind.FLEET, detail="scaled")
        assert (await operator.next())["event"] == "fleet"
        sent = [await door.desk.ids(RED, headers=who) for who in (door.other, door.one)]
        assert (await one.next())["data"]["jobs"] == sent[1]
        assert (await other.next())["data"]["jobs"] == sent[0]
        assert [(await operator.next())["data"]["jobs"] for _ in sent] == sent
