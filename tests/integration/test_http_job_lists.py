"""Lists of jobs in one state over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.adapters.queue import places
from heliograph.api.job_schemas import JobPageShape
from heliograph.core.queue import QueueRules
from heliograph.serving.access import Scope, create_key
from integration.applications import check_problem
from integration.job_desks import BROKEN, LABELLED, desk
from integration.tiny_models import colour_picture, write_models
from queue_trials import MemoryTrial, dead_job

RED = colour_picture("red")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


async def test_jobs_are_listed_by_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LOOKED_AT", 3)
    trial = MemoryTrial(QueueRules())
    async with desk(folder, trial) as front:

        async def listed(**query: str) -> list[str]:
            found: list[str] = []
            while True:
                response = await front.client.get("/v1/jobs", params=query)
                assert response.status_code == 200, response.text
                JobPageShape.model_validate(response.json())
                found += [job["id"] for job in response.json()["jobs"]]
                if "next" not in response.json():
                    return found
                query["cursor"] = response.json()["next"]

        dead = await dead_job(trial, owner="")
        done = await front.ids(RED)
        await front.answer(LABELLED)
        failed = await front.ids(RED)
        await front.answer(BROKEN)
        waiting = await front.ids(*[RED] * 7)
        assert await listed(state="dead") == [dead]
        assert await listed(state="done") == done
        assert await listed(state="FAILED", limit="1") == failed
        assert await listed(state="queued", limit="2") == waiting[::-1]
        assert await listed(state="running") == []
        assert len(await listed()) == 10
        for query in (
            {"state": ""},
            {"state": "lost"},
            {"state": "dead", "cursor": "x"},
            {"state": "dead", "limit": "0"},
        ):
            check_problem(await front.client.get("/v1/jobs", params=query), 400, "parameter-invalid")


async def test_a_key_sees_its_own(folder: Path, tmp_path: Path) -> None:
    key, stored = create_key("ann", [Scope.PREDICT])
    (tmp_path / "keys").write_text(stored.line())
    trial = MemoryTrial(QueueRules())
    async with desk(folder, trial, api_keys_file=tmp_path / "keys") as front:
        own = await dead_job(trial, owner="ann")
        await dead_job(trial, owner="bob")
        headers = {"Authorization": f"Bearer {key}"}
        page = (await front.client.get("/v1/jobs", params={"state": "dead"}, headers=headers)).json()
        assert [job["id"] for job in page["jobs"]] == [own]
