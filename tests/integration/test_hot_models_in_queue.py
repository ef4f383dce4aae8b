"""Packages come and go while a gateway and its worker run: nobody is told no too early, and nobody is held up."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from integration.tiny_models import colour_picture, put, write_models
from queue_mode import QueueMode, queue_mode, submit, wait_until_finished
from queue_servers import queue_server
from service import Service, wait_for

SOON_SECONDS = 60.0
RED = colour_picture("red")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def all_models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "all")


@pytest.fixture
def store(tmp_path: Path, all_models: Path) -> Path:
    folder = tmp_path / "store"
    for name in ("colours", "brightness"):
        shutil.copytree(all_models / name, folder / name)
    return folder


@pytest.fixture
def processes(store: Path) -> Iterator[QueueMode]:
    settings = {"models": "*", "request_timeout_seconds": 100}
    with queue_server("valkey") as server, queue_mode(server, store, **settings) as running:
        yield running


def ask(gateway: Service, model: str) -> httpx2.Response:
    return httpx2.post(f"{gateway.url}/classify?model={model}&top=1", content=RED, timeout=100)


def is_listed(gateway: Service, model: str) -> bool:
    return model in [each["name"] for each in gateway.get("/v1/models").json()["models"]]


def test_a_package_that_comes_is_answered_from_its_first_request_on(
    processes: QueueMode, store: Path, all_models: Path
) -> None:
    worker, gateway = processes.worker(), processes.gateway()
    assert ask(gateway, "slow-colours").status_code == 404
    put(all_models / "slow-colours", store)
    wait_for("the gateway to see it", lambda: is_listed(gateway, "slow-colours"), patience=SOON_SECONDS)
    answer = ask(gateway, "slow-colours")
    assert (answer.status_code, answer.json()[0]["label"]) == (200, "red")
    receipt = submit(gateway, [("a.png", RED)] * 3, model="slow-colours")
    jobs = wait_until_finished(gateway, receipt["group"], patience=SOON_SECONDS)
    assert {job["state"] for job in jobs} == {"done"}
    assert "job handed back" not in worker.log(), "no job came before its model"


def test_jobs_of_a_package_that_leaves_end_with_the_reason_and_hold_up_no_other(
    processes: QueueMode, store: Path, all_models: Path
) -> None:
    shutil.copytree(all_models / "slow-colours", store / "slow-colours")
    worker, gateway = processes.worker(), processes.gateway()
    wait_for("the model", lambda: worker.log().count("model ready") == 3, patience=SOON_SECONDS)
    receipt = submit(gateway, [(f"{n}.png", RED) for n in range(40)], model="slow-colours")
    wait_for("the first job", lambda: "job done" in worker.log(), patience=SOON_SECONDS)
    shutil.rmtree(store / "slow-colours")
    wait_for("its end", lambda: "model left" in worker.log(), patience=SOON_SECONDS)
    assert ask(gateway, "colours").status_code == 200
    jobs = wait_until_finished(gateway, receipt["group"], patience=SOON_SECONDS)
    counts = Counter(job["state"] for job in jobs)
    assert counts["done"] + counts["failed"] == 40
    assert counts["failed"] > 0, "it left before all were done"
    problems = {
        (job["problem"]["code"], job["problem"]["detail"]) for job in jobs if job["state"] == "failed"
    }
    assert problems == {("model-unknown", "The model slow-colours is not served any more.")}
    wait_for("the gateway to see it", lambda: not is_listed(gateway, "slow-colours"), patience=SOON_SECONDS)
    assert ask(gateway, "slow-colours").status_code == 404


def test_a_worker_that_began_without_a_model_takes_jobs_once_one_comes(
    processes: QueueMode, store: Path, all_models: Path
) -> None:
    for weights in store.glob("*/*.onnx"):
        weights.unlink()
    worker, gateway = processes.worker(until="no model can be served"), processes.gateway()
    refused = httpx2.post(f"{gateway.url}/v1/jobs?model=colours", content=RED, timeout=30)
    assert (refused.status_code, refused.json()["code"]) == (503, "model-unavailable")
    shutil.copy(all_models / "colours" / "tiny.onnx", store / "colours")
    wait_for("its first answer", lambda: ask(gateway, "colours").status_code == 200, patience=SOON_SECONDS)
    receipt = submit(gateway, [("a.png", RED)] * 3, model="colours")
    jobs = wait_until_finished(gateway, receipt["group"], patience=SOON_SECONDS)
    assert {job["state"] for job in jobs} == {"done"}
    assert "job handed back" not in worker.log()
