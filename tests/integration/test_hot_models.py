"""A package that comes into the store of a running service answers, and one that leaves is gone."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from heliograph.serving.following import LOOK_SECONDS
from integration.tiny_models import colour_picture, put, write_models
from service import Service, start_service, wait_for

SOON_SECONDS = 60.0
"""How long it may take on a machine that is busy; `test_it_comes_and_leaves_within_two_seconds` has the promise."""
ROUNDS = 4

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def all_models(tmp_path: Path) -> Path:
    return write_models(tmp_path / "all")


@pytest.fixture
def store(tmp_path: Path, all_models: Path) -> Path:
    folder = tmp_path / "store"
    shutil.copytree(all_models / "colours", folder / "colours")
    return folder


@pytest.fixture
def running(store: Path) -> Iterator[Service]:
    with start_service(
        model_dir=store, models="colours,*", threads=1, patience=60, request_timeout_seconds=200
    ) as service:
        yield service


def ask(service: Service, model: str, *, count: int = 1) -> httpx2.Response:
    files = [("image", ("red.png", colour_picture("red"), "image/png"))] * count
    return httpx2.post(f"{service.url}/v1/models/{model}/predict", files=files, timeout=200)


def names(service: Service) -> list[str]:
    return [model["name"] for model in service.get("/v1/models").json()["models"]]


def test_a_package_comes_answers_and_leaves(running: Service, store: Path, all_models: Path) -> None:
    assert ask(running, "busy-colours").status_code == 404
    put(all_models / "busy-colours", store)
    wait_for("the new model", lambda: ask(running, "busy-colours").status_code == 200, patience=SOON_SECONDS)
    assert names(running) == ["colours", "busy-colours"]
    assert running.status("/readyz") == 200
    put(all_models / "brightness", store)
    wait_for("its default", lambda: "background-removal" in defaults(running), patience=SOON_SECONDS)
    shutil.rmtree(store / "busy-colours")
    wait_for("the end of it", lambda: ask(running, "busy-colours").status_code == 404, patience=SOON_SECONDS)
    assert names(running) == ["colours", "brightness"]
    assert 'model="busy-colours"' not in info(running)
    assert running.status("/readyz") == 200
    assert ask(running, "colours").status_code == 200


def defaults(service: Service) -> dict[str, str]:
    found: dict[str, str] = service.get("/v1/models").json()["defaults"]
    return found


def info(service: Service) -> str:
    lines = service.get("/metrics").text.splitlines()
    return "\n".join(line for line in lines if line.startswith("heliograph_model_info"))


def test_requests_under_way_are_answered_when_their_model_leaves(
    running: Service, store: Path, all_models: Path
) -> None:
    put(all_models / "slow-colours", store)
    wait_for("the model", lambda: "slow-colours" in names(running), patience=SOON_SECONDS)
    before = computed(running, "slow-colours")
    with ThreadPoolExecutor(4) as threads:
        requests = [threads.submit(ask, running, "slow-colours", count=count) for count in (12, 1, 1, 1)]
        wait_for("all requests", lambda: in_flight(running) >= 4, patience=SOON_SECONDS)
        wait_for("a batch", lambda: computed(running, "slow-colours") > before, patience=SOON_SECONDS)
        shutil.rmtree(store / "slow-colours")
        wait_for("its end", lambda: "slow-colours" not in names(running), patience=SOON_SECONDS)
        assert ask(running, "slow-colours").status_code == 404
        assert not requests[0].done(), "it left while it was at work"
        answers = [request.result() for request in requests]
    assert [answer.status_code for answer in answers] == [200] * 4
    labels = [result["predictions"][0]["label"] for each in answers for result in each.json()["results"]]
    assert labels == ["red"] * 15
    wait_for("its engine's end", lambda: 'model="slow-colours"' not in info(running), patience=SOON_SECONDS)
    assert "threads do not end" not in running.log()


def computed(service: Service, model: str) -> float:
    return counted(service, f'heliograph_batch_size_sum{{model="{model}"}}')


def in_flight(service: Service) -> float:
    return counted(service, "heliograph_requests_in_flight")


def counted(service: Service, sample: str) -> float:
    lines = service.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.rsplit(" ", 1)[0] == sample)


def test_another_package_of_the_name_takes_over_without_a_gap(
    running: Service, store: Path, all_models: Path
) -> None:
    other = all_models.parent / "spare"
    shutil.copytree(all_models / "colours", other / "colours")
    (other / "colours" / "labels.txt").write_text("rot\ngrün\nblau\n")
    stop, seen = threading.Event(), set[tuple[int, str]]()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = ask(running, "colours")
            label = (
                answer.json()["results"][0]["predictions"][0]["label"] if answer.status_code == 200 else ""
            )
            seen.add((answer.status_code, label))

    thread = threading.Thread(target=keep_asking)
    thread.start()
    wait_for("the old labels", lambda: (200, "red") in seen, patience=SOON_SECONDS)
    (store / "colours").rename(store / ".replaced")
    put(other / "colours", store)
    wait_for("the new labels", lambda: (200, "rot") in seen, patience=SOON_SECONDS)
    stop.set()
    thread.join()
    assert seen == {(200, "red"), (200, "rot")}


def test_a_package_that_is_broken_is_said_to_be(running: Service, store: Path, all_models: Path) -> None:
    weights = all_models / "busy-colours" / "tiny.onnx"
    text = (all_models / "busy-colours" / "model.toml").read_text()
    right = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.write_bytes(b"no graph at all")
    text = text.replace(right, hashlib.sha256(b"no graph at all").hexdigest())
    lines = [
        f"size_bytes = {len(b'no graph at all')}" if "size_bytes" in line else line
        for line in text.splitlines()
    ]
    (all_models / "busy-colours" / "model.toml").write_text("\n".join(lines) + "\n")
    put(all_models / "busy-colours", store)
    wait_for("its problem", lambda: "busy-colours" in names(running), patience=SOON_SECONDS)
    answer = ask(running, "busy-colours")
    assert answer.status_code == 500
    assert "ONNX" in answer.json()["detail"]
    assert running.status("/readyz") == 200
    assert ask(running, "colours").status_code == 200


def test_weights_that_come_late_are_loaded(store: Path, all_models: Path, tmp_path: Path) -> None:
    """As after `models pull`: also of a model that is named, and without a star."""
    put(all_models / "absent", store)
    with start_service(model_dir=store, models="colours,absent", threads=1, patience=60) as service:
        assert ask(service, "absent").status_code == 503
        shutil.copy(all_models / "colours" / "tiny.onnx", tmp_path / "weights")
        (tmp_path / "weights").rename(store / "absent" / "tiny.onnx")
        wait_for("it", lambda: ask(service, "absent").status_code == 200, patience=SOON_SECONDS)
        assert names(service) == ["colours", "absent"]


def test_a_package_whose_files_come_one_by_one_is_served(
    running: Service, store: Path, all_models: Path
) -> None:
    package = store / "busy-colours"
    package.mkdir()
    for file in ("model.toml", "labels.txt", "tiny.onnx"):
        shutil.copy(all_models / "busy-colours" / file, package)
        time.sleep(3 * LOOK_SECONDS)  # it is looked at meanwhile
    wait_for("the model", lambda: ask(running, "busy-colours").status_code == 200, patience=SOON_SECONDS)


def test_without_a_star_the_store_is_left_alone(store: Path, all_models: Path) -> None:
    with start_service(model_dir=store, models="colours", threads=1, patience=60) as service:
        put(all_models / "busy-colours", store)
        time.sleep(3 * LOOK_SECONDS)  # nothing is to happen, so there is nothing to wait for
        assert names(service) == ["colours"]


def test_it_comes_and_leaves_within_two_seconds(running: Service, store: Path, all_models: Path) -> None:
    """In the best of some rounds, since others may keep the machine busy."""
    comes, leaves = [], []
    for _ in range(ROUNDS):
        put(all_models / "brightness", store)
        comes.append(seconds_until("it is there", lambda: "brightness" in names(running)))
        shutil.rmtree(store / "brightness")
        leaves.append(seconds_until("it is gone", lambda: "brightness" not in names(running)))
    assert min(comes) < 2.0, comes
    assert min(leaves) < 2.0, leaves


def seconds_until(what: str, condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    wait_for(what, condition, patience=SOON_SECONDS)
    return time.monotonic() - started
