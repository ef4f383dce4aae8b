"""A worker that is killed, as its tile tells it, and a job that killed three: found on the page, and requeued there."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from browser.pages import expect, opened
from integration.tiny_models import colour_picture, write_slowest
from service import Service, start_service, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
ATTEMPTS = 3


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """``heliograph up`` with a slow model."""
    settings: dict[str, Any] = {
        "model_dir": write_slowest(tmp_path_factory.mktemp("models")),
        "models": "slowest-colours",
        "classification_model": "slowest-colours",
        "workers": 2,
        "threads": 1,
        "drain_seconds": 0,
    }
    environment = {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))}
    with start_service(environment, command="up", patience=60, **settings) as running:
        yield running


def test_three_workers_die_of_a_job_which_is_requeued_on_the_page(
    browser: Browser, deployment: Service
) -> None:
    with opened(browser, deployment.url, "#/fleet") as page:
        expect(page.locator(".tile.ready, .tile.busy")).to_have_count(2)
        file = ("deadly.png", colour_picture("red"))
        receipt = httpx2.post(f"{deployment.url}/v1/jobs", files={"image": file}, timeout=30).json()
        job = f"/v1/jobs/{receipt['jobs'][0]['id']}"
        for attempt in range(1, ATTEMPTS + 1):
            name = kill_the_worker_of(deployment, job, attempt)
            tile = page.locator(".tile.gone", has_text=name)
            expect(tile).to_contain_text("SIGKILL")
            expect(tile.locator(".stop")).to_have_count(0)
        dead = page.locator(".dead li", has_text="deadly.png")
        expect(dead).to_contain_text(f"{ATTEMPTS} attempts")
        page.get_by_role("button", name="Requeue deadly.png").click()
        expect(dead).to_have_count(0)
        page.get_by_role("link", name="Jobs").click()
        expect(page.locator("tr", has_text="deadly.png").locator(".dot.done")).to_have_count(1)


def kill_the_worker_of(deployment: Service, job: str, attempt: int) -> str:
    """Kills the worker that makes this attempt; its name."""
    stands: dict[str, Any] = {}

    def has_begun() -> bool:
        stands.update(deployment.get(job).json())
        return bool(stands["attempts"] == attempt and stands["state"] == "running")

    wait_for(f"attempt {attempt}", has_begun, patience=60)
    workers = deployment.get("/v1/fleet").json()["workers"]
    (pid,) = [worker["pid"] for worker in workers if worker["name"] == stands["worker"]]
    os.kill(pid, signal.SIGKILL)
    return str(stands["worker"])
