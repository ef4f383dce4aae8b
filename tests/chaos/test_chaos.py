"""Nothing that was accepted is lost, and nothing is answered twice, whatever is killed, stopped, filled or cut.

The short form runs with ``make test-fleet``, the long one with ``make chaos``. ``CHAOS_SEED`` repeats a play, as far as
processes let themselves be repeated.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chaos.cast import Cast, cast
from chaos.chance import new_seed
from chaos.pictures import CAN_KILL, FRAGILE, MODELS, POISON, picture, write_store
from chaos.play import Plot, perform
from chaos.proof import prove
from queue_servers import BINARIES
from service import wait_for

needs_redis = pytest.mark.skipif("redis" not in BINARIES, reason="Redis is not installed here")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("models"))


@contextmanager
def stage(server: str, folder: Path, *, workers: int = 3, **settings: object) -> Iterator[Cast]:
    """The cast with the settings of all plays; if one fails, it has last words."""
    usual = {"models": ",".join(MODELS), "lease_seconds": 2, "drain_seconds": 0, "finish_seconds": 3}
    with cast(server, folder, workers=workers, **{**usual, **settings}) as actors:
        try:
            yield actors
        except BaseException:
            sys.stderr.write(actors.last_words())
            raise


def play_out(server: str, plot: Plot, folder: Path, **settings: Any) -> None:
    with stage(server, folder, **settings) as actors:
        prove(perform(actors, plot))


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """A folder for payloads and results."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    return folder


def a_few_jobs() -> Plot:
    return Plot(jobs=300, seconds=4, pause_seconds=(0.2, 0.8), poisons=1, seed=new_seed())


def ten_thousand_jobs() -> Plot:
    return Plot(jobs=10_000, seconds=200, pause_seconds=(0.3, 2.0), poisons=3, seed=new_seed())


@pytest.mark.fleet
def test_a_few_jobs_on_valkey(tmp_path: Path, models: Path) -> None:
    play_out("valkey", a_few_jobs(), tmp_path, model_dir=models)


@needs_redis
@pytest.mark.fleet
def test_a_few_jobs_on_redis_and_a_folder(tmp_path: Path, models: Path, blobs: Path) -> None:
    play_out("redis", a_few_jobs(), tmp_path, model_dir=models, blob_dir=blobs)


@pytest.mark.fleet
@pytest.mark.skipif(not CAN_KILL, reason="no picture kills a process on such a processor")
def test_a_picture_that_kills_its_worker_harms_no_other(tmp_path: Path, models: Path) -> None:
    files = [("image", (f"{number}.png", picture(number))) for number in range(60)]
    files.insert(20, ("image", ("poison.png", POISON)))
    with stage("valkey", tmp_path, workers=2, model_dir=models, lease_seconds=1) as actors:
        receipt = httpx2.post(f"{actors.url}/v1/jobs", files=files, data={"model": FRAGILE}, timeout=30)
        address = f"{actors.url}/v1/groups/{receipt.json()['group']}?limit=100"

        def is_over() -> bool:
            actors.revive()
            return bool(httpx2.get(address).json()["finished"])

        wait_for("the end of all jobs", is_over)
        jobs = httpx2.get(address).json()["jobs"]
    (poison,) = (job for job in jobs if job["name"] == "poison.png")
    assert (poison["state"], poison["attempts"]) == ("dead", 3)
    assert poison["problem"]["code"] == "attempts-exhausted"
    others = [job for job in jobs if job is not poison]
    assert {job["state"] for job in others} == {"done"}
    assert max(job["attempts"] for job in others) <= 2  # those that were begun together with it, once
    assert sum(len(actor.ends) for actor in actors.workers) == 3


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_ten_thousand_jobs_on_valkey(tmp_path: Path, models: Path) -> None:
    play_out("valkey", ten_thousand_jobs(), tmp_path, workers=4, model_dir=models)


@needs_redis
@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_ten_thousand_jobs_on_redis_and_a_folder(tmp_path: Path, models: Path, blobs: Path) -> None:
    play_out("redis", ten_thousand_jobs(), tmp_path, workers=4, model_dir=models, blob_dir=blobs)
