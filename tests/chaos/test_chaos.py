"""Nothing that was accepted is lost, and nothing is answered twice, whatever is killed, stopped, filled or cut.

The short form runs with all tests, the long one with ``make chaos``. ``CHAOS_SEED`` repeats a play, as far as
processes let themselves be repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chaos.cast import cast
from chaos.chance import new_seed
from chaos.pictures import MODELS, write_store
from chaos.play import Plot, perform
from chaos.proof import prove
from queue_servers import BINARIES

LEASE_SECONDS = 2
needs_redis = pytest.mark.skipif("redis" not in BINARIES, reason="Redis is not installed here")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("models"))


def play_out(server: str, plot: Plot, folder: Path, *, workers: int = 3, **settings: object) -> None:
    with cast(
        server,
        folder,
        workers=workers,
        models=",".join(MODELS),
        lease_seconds=LEASE_SECONDS,
        drain_seconds=0,
        finish_seconds=3,
        **settings,
    ) as actors:
        try:
            prove(perform(actors, plot, lease_seconds=LEASE_SECONDS))
        except BaseException:
            sys.stderr.write(actors.logs())
            raise


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """A folder for payloads and results."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    return folder


def a_few_jobs() -> Plot:
    return Plot(jobs=300, seconds=6, pause_seconds=(0.2, 0.8), poisons=1, seed=new_seed())


def ten_thousand_jobs() -> Plot:
    return Plot(jobs=10_000, seconds=200, pause_seconds=(0.3, 2.0), poisons=3, seed=new_seed())


def test_a_few_jobs_on_valkey(tmp_path: Path, models: Path) -> None:
    play_out("valkey", a_few_jobs(), tmp_path, model_dir=models)


@needs_redis
def test_a_few_jobs_on_redis_and_a_folder(tmp_path: Path, models: Path, blobs: Path) -> None:
    play_out("redis", a_few_jobs(), tmp_path, model_dir=models, blob_dir=blobs)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_ten_thousand_jobs_on_valkey(tmp_path: Path, models: Path) -> None:
    play_out("valkey", ten_thousand_jobs(), tmp_path, workers=4, model_dir=models)


@needs_redis
@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_ten_thousand_jobs_on_redis_and_a_folder(tmp_path: Path, models: Path, blobs: Path) -> None:
    play_out("redis", ten_thousand_jobs(), tmp_path, workers=4, model_dir=models, blob_dir=blobs)
