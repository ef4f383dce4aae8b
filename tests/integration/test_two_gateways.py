"""Two gateways on one real server tell the same truth: numbers, news, lists by state, and who is signed in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from heliograph.api.access import SESSION_COOKIE
from heliograph.serving.access import Scope, create_key
from integration.tiny_models import colour_picture, write_models
from queue_mode import QueueMode, kill, queue_mode
from queue_servers import queue_server
from service import Service, wait_for

KEY, STORED = create_key("operator", list(Scope))
HEADERS = {"Authorization": f"Bearer {KEY}"}
PATIENCE_SECONDS = 20
ATTEMPTS = 3


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[QueueMode]:
    folder = write_models(tmp_path)
    keys = tmp_path / "keys"
    keys.write_text(STORED.line())
    settings: dict[str, Any] = {"api_keys_file": keys, "lease_seconds": 1}
    with queue_server("valkey") as server, queue_mode(server, folder, **settings) as running:
        yield running


def get(gateway: Service, path: str) -> Any:
    return httpx2.get(gateway.url + path, headers=HEADERS, timeout=10).raise_for_status().json()


def send(gateway: Service, count: int, model: str) -> list[str]:
    """The ids of jobs."""
    files = [("image", (f"{number}.png", colour_picture("red"))) for number in range(count)]
    answer = httpx2.post(f"{gateway.url}/v1/jobs", files=files, data={"model": model}, headers=HEADERS)
    return [job["id"] for job in answer.raise_for_status().json()["jobs"]]


def told(gateway: Service, *names: str, last: str = "") -> dict[str, Any]:
    """The first event of each of these names, and the ids of all before the last of them."""
    headers = {**HEADERS, **({"Last-Event-ID": last} if last else {})}
    found: dict[str, Any] = {"ids": []}
    with httpx2.stream(
        "GET", f"{gateway.url}/v1/events", headers=headers, timeout=PATIENCE_SECONDS
    ) as answer:
        name = ""
        for line in answer.iter_lines():
            field, _, value = line.partition(": ")
            if field == "id":
                found["ids"].append(value)
            elif field == "event":
                name = value
            elif field == "data":
                found.setdefault(name, json.loads(value))
                if found.keys() >= set(names):
                    return found
    raise AssertionError(f"the stream ended before {names}")


def test_numbers_and_news_are_the_same(processes: QueueMode) -> None:
    gateways = [processes.gateway(), processes.gateway()]
    before = told(gateways[0], "snapshot")
    processes.worker()
    jobs = send(gateways[0], 7, "colours")
    wait_for("answers", lambda: len(get(gateways[1], "/v1/jobs?state=done")["jobs"]) == len(jobs))
    wait_for("an idle worker", lambda: told(gateways[0], "numbers")["numbers"]["workers"]["ready"] == 1)
    with ThreadPoolExecutor(2) as threads:
        numbers = [
            each["numbers"] for each in threads.map(lambda gateway: told(gateway, "numbers"), gateways)
        ]
    for each in numbers:
        assert each.pop("at").endswith("Z")
    assert numbers[0] == numbers[1]
    assert (numbers[0]["accepted"], numbers[0]["finished"], numbers[0]["waiting"]) == (7, 7, 0)
    assert numbers[0]["workers"]["ready"] == 1
    assert numbers[0]["p95_seconds"] > 0
    assert before["ids"], "a snapshot says where the news begin"
    news = [told(gateway, "worker-up", "accepted", "done", last=before["ids"][-1]) for gateway in gateways]
    assert news[0] == news[1]


@pytest.mark.fleet
def test_a_dead_job_is_found_by_its_state_and_requeued_at_the_other_gateway(processes: QueueMode) -> None:
    gateways = [processes.gateway(), processes.gateway()]
    (job,) = send(gateways[0], 1, "slow-colours")
    for attempt in range(1, ATTEMPTS + 1):
        worker = processes.worker()

        def has_begun(wanted: int = attempt) -> bool:
            found = get(gateways[1], f"/v1/jobs/{job}")
            return bool(found["attempts"] == wanted and found["state"] == "running")

        wait_for(f"attempt {attempt}", has_begun)
        kill(worker)
    last = processes.worker()  # nobody else notices that the lease is over
    for gateway in gateways:
        wait_for("it to be dead", partial(has_dead, gateway))
        (dead,) = get(gateway, "/v1/jobs?state=dead")["jobs"]
        assert (dead["id"], dead["attempts"], dead["problem"]["code"]) == (
            job,
            ATTEMPTS,
            "attempts-exhausted",
        )
    httpx2.post(f"{gateways[1].url}/v1/jobs/{job}/requeue", headers=HEADERS).raise_for_status()
    wait_for("an answer", lambda: last.runs() and get(gateways[0], f"/v1/jobs/{job}")["state"] == "done")
    assert get(gateways[1], "/v1/jobs?state=dead")["jobs"] == []


def has_dead(gateway: Service) -> bool:
    return bool(get(gateway, "/v1/jobs?state=dead")["jobs"])


def test_who_signed_in_at_one_is_signed_in_at_the_other(processes: QueueMode) -> None:
    one, other = processes.gateway(), processes.gateway()
    answer = httpx2.post(f"{one.url}/v1/session", json={"key": KEY}).raise_for_status()
    cookie = {"Cookie": f"{SESSION_COOKIE}={answer.cookies[SESSION_COOKIE]}"}
    assert httpx2.get(f"{other.url}/v1/jobs").status_code == 401
    assert httpx2.get(f"{other.url}/v1/jobs", headers=cookie).status_code == 200
    assert httpx2.get(f"{other.url}/v1/session", headers=cookie).json()["name"] == "operator"
