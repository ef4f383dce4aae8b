"""Gateway, workers and a queue as processes: what a client sees while they are killed, stopped and cut off."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from integration.tiny_models import colour_picture, write_models
from queue_mode import (
    QueueMode,
    jobs_of,
    kill,
    name_of,
    queue_mode,
    submit,
    wait_until_finished,
)
from queue_servers import QueueServer, queue_server
from service import Service, launched, wait_for

COLOURS = ("red", "green", "blue")
PICTURES = {colour: colour_picture(colour) for colour in COLOURS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def server() -> Iterator[QueueServer]:
    with queue_server("valkey") as running:
        yield running


@pytest.fixture
def processes(server: QueueServer, folder: Path) -> Iterator[QueueMode]:
    with queue_mode(server, folder, lease_seconds=2) as running:
        yield running


def ask(gateway: Service, colour: str = "red", model: str = "colours") -> httpx2.Response:
    address = f"{gateway.url}/classify?model={model}&top=1"
    return httpx2.post(address, content=PICTURES[colour], timeout=40)


def test_synchronous_routes_answer_through_the_queue(processes: QueueMode) -> None:
    worker, gateway = processes.worker(), processes.gateway()
    answer = ask(gateway, "green")
    assert answer.json()[0]["label"] == "green"
    assert answer.headers["heliograph-worker"] == name_of(worker)
    assert "infer;dur=" in answer.headers["server-timing"]
    cutout = httpx2.post(f"{gateway.url}/remove-background", content=colour_picture("white"), timeout=20)
    assert cutout.headers["content-type"] == "image/png"
    broken = httpx2.post(f"{gateway.url}/classify", content=PICTURES["red"][:60], timeout=20)
    assert (broken.status_code, broken.json()["code"]) == (422, "picture-broken")
    many = httpx2.post(
        f"{gateway.url}/v1/models/colours/predict",
        files=[("image", (f"{colour}.png", PICTURES[colour])) for colour in COLOURS],
        timeout=20,
    )
    assert [row["predictions"][0]["label"] for row in many.json()["results"]] == list(COLOURS)
    assert 'heliograph_queue_jobs_finished{state="done"} 5.0' in gateway.get("/metrics").text
    ready = 'heliograph_workers{state="ready"} 1.0'
    wait_for("the worker to be idle", lambda: ready in gateway.get("/metrics").text)


@pytest.mark.fleet
def test_three_hundred_pictures_while_a_worker_is_killed(processes: QueueMode) -> None:
    first, second = processes.worker(), processes.worker()
    gateway = processes.gateway()
    pictures = [(f"{n}-{COLOURS[n % 3]}.png", PICTURES[COLOURS[n % 3]]) for n in range(300)]
    receipt = submit(gateway, pictures, model="busy-colours", top="1")
    assert (len(receipt["jobs"]), receipt["refused"], receipt["durable"]) == (300, [], True)
    kill(first)
    jobs = wait_until_finished(gateway, receipt["group"])
    assert Counter(job["state"] for job in jobs) == {"done": 300}
    assert {job["worker"] for job in jobs} <= {name_of(first), name_of(second)}
    with httpx2.Client(base_url=gateway.url) as client:
        labels = [label_of(client, job["id"]) for job in jobs]
    assert labels == [name.partition("-")[2].removesuffix(".png") for name, _ in pictures]


def label_of(client: httpx2.Client, job: str) -> str:
    answer = client.get(f"/v1/jobs/{job}/result")
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0]["label"])


def test_a_waiting_client_gets_its_answer_although_its_worker_is_killed(
    processes: QueueMode,
) -> None:
    gateway, first = processes.gateway(), processes.worker()
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask, gateway, "blue", "slow-colours")
        wait_for("the job to begin", lambda: any(is_running(gateway)))
        kill(first)
        second = processes.worker()
        response = answer.result()
    assert response.status_code == 200, response.text
    assert response.json()[0]["label"] == "blue"
    assert response.headers["heliograph-worker"] == name_of(second)


def is_running(gateway: Service) -> list[bool]:
    return [job["state"] == "running" for job in gateway.get("/v1/jobs").json()["jobs"]]


def test_without_a_worker_a_request_is_refused_in_time_and_nothing_stays(processes: QueueMode) -> None:
    gateway = processes.gateway(request_timeout_seconds=1)
    answer = ask(gateway)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    metrics = gateway.get("/metrics").text
    assert 'heliograph_queue_jobs_finished{state="cancelled"} 1.0' in metrics
    assert 'heliograph_queue_jobs_waiting{priority="interactive"} 0.0' in metrics


def test_a_worker_that_sleeps_through_its_lease_does_not_overwrite(processes: QueueMode) -> None:
    gateway, first = processes.gateway(), processes.worker()
    receipt = submit(gateway, [("a.png", PICTURES["red"])], model="slow-colours")
    wait_for("the job to begin", lambda: any(is_running(gateway)))
    first.process.send_signal(signal.SIGSTOP)
    second = processes.worker()
    (job,) = wait_until_finished(gateway, receipt["group"])
    first.process.send_signal(signal.SIGCONT)
    wait_for("the sleeper to notice", lambda: "job dropped" in first.log())
    assert job["worker"] == name_of(second)
    assert jobs_of(gateway, receipt["group"]) == [job]


@pytest.mark.fleet
def test_a_worker_that_is_told_to_stop_loses_nothing(processes: QueueMode) -> None:
    gateway, first = processes.gateway(), processes.worker()
    receipt = submit(gateway, [(f"{n}.png", PICTURES["red"]) for n in range(100)], model="busy-colours")
    wait_for("the first jobs", lambda: first.log().count("job done") >= 3)
    begun = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - begun < 10
    processes.worker()
    jobs = wait_until_finished(gateway, receipt["group"])
    assert {(job["state"], job["attempts"]) for job in jobs} == {("done", 1)}


def test_a_queue_that_goes_away_is_503_and_comes_back_without_a_restart(
    processes: QueueMode, server: QueueServer
) -> None:
    worker, gateway = processes.worker(ops_port=0), processes.gateway()
    assert ask(gateway).status_code == 200
    server.kill()
    answer = ask(gateway)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue-unavailable")
    assert "retry-after" in answer.headers
    assert gateway.status("/readyz") == gateway.status("/livez") == 200
    wait_for("the worker to notice", lambda: "queue away" in worker.log())
    assert "heliograph_queue_up 0.0" in gateway.get("/metrics").text
    server.start()
    wait_for("an answer", lambda: ask(gateway).status_code == 200)


def test_processes_wait_for_a_queue_that_is_not_there_yet(processes: QueueMode, server: QueueServer) -> None:
    server.kill()
    gateway = processes.gateway()
    worker = processes.worker(until="queue away: waiting for it")
    assert ask(gateway).status_code == 503
    server.start()
    wait_for("an answer", lambda: worker.runs() and ask(gateway).status_code == 200)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://localhost:6379", "The queue's address is wrong"),
        ("", "names no server for the queue"),
        ("{server}?password=wrong", "refuses the user or password"),
    ],
)
@pytest.mark.parametrize("command", ["gateway", "worker"])
def test_what_cannot_work_ends_with_one_clear_line(
    command: str, url: str, complaint: str, server: QueueServer, folder: Path
) -> None:
    with server.client() as client:
        client.config_set("requirepass", "right")
    settings: dict[str, Any] = {"redis_url": url.format(server=server.url)} if url else {}
    arguments = [command, "--port", "0"] if command == "gateway" else [command]
    with launched(arguments, model_dir=folder, models="colours", **settings) as program:
        assert program.process.wait(20) == 1
        (line,) = program.log().splitlines()
    assert line.startswith("heliograph: ")
    assert complaint in line


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"fleet_scaler": "hpa/workers"}, "there is no service account in"),
        ({}, "HELIOGRAPH_FLEET_SCALER does not say what scales the pods"),
        ({"fleet_scaler": "cronjob/workers"}, "it is one of hpa/NAME, scaledobject/NAME, deployment/NAME"),
    ],
)
def test_a_fleet_of_pods_outside_of_a_cluster_is_told(
    settings: dict[str, Any], complaint: str, server: QueueServer, folder: Path
) -> None:
    settings |= {"redis_url": server.url, "fleet_selector": "app=heliograph,part=worker"}
    with launched(["gateway", "--port", "0"], model_dir=folder, models="colours", **settings) as program:
        assert program.process.wait(20) == 1
        (line,) = program.log().splitlines()
    assert complaint in line


def test_a_password_may_stand_beside_the_address(server: QueueServer, folder: Path) -> None:
    with server.client() as client:
        client.config_set("requirepass", "p@ss/w#rd")
    with queue_mode(server, folder, redis_password="p@ss/w#rd") as processes:
        processes.worker()
        assert ask(processes.gateway(), "blue").json()[0]["label"] == "blue"


def test_pictures_and_results_may_lie_in_a_shared_folder(
    server: QueueServer, folder: Path, tmp_path: Path
) -> None:
    with queue_mode(server, folder, blob_dir=tmp_path) as processes:
        processes.worker()
        gateway = processes.gateway()
        assert ask(gateway, "blue").json()[0]["label"] == "blue"
        receipt = submit(gateway, [("a.png", PICTURES["green"]), ("b.png", PICTURES["red"])])
        jobs = wait_until_finished(gateway, receipt["group"])
        assert len(list(tmp_path.rglob("*.result"))) >= 2
        assert not list(tmp_path.rglob("*.payload"))
        with httpx2.Client(base_url=gateway.url) as client:
            assert [label_of(client, job["id"]) for job in jobs] == ["green", "red"]
            client.delete(f"/v1/jobs/{jobs[0]['id']}")
            assert client.get(f"/v1/jobs/{jobs[0]['id']}/result").status_code == 410
