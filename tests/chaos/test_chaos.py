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


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("models"))


def play_out(server: str, plot: Plot, folder: Path, models: Path, *, workers: int = 3) -> None:
    with cast(
        server,
        folder,
        workers=workers,
        model_dir=models,
        models=",".join(MODELS),
        lease_seconds=LEASE_SECONDS,
        drain_seconds=0,
        finish_seconds=3,
    ) as actors:
        try:
            prove(perform(actors, plot, lease_seconds=LEASE_SECONDS))
        except BaseException:
            sys.stderr.write(actors.logs())
            raise


@pytest.mark.parametrize("server", list(BINARIES))
def test_a_few_jobs(server: str, tmp_path: Path, models: Path) -> None:
    plot = Plot(jobs=300, seconds=8, pause_seconds=(0.2, 0.8), poisons=1, seed=new_seed())
    play_out(server, plot, tmp_path, models)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("server", list(BINARIES))
def test_ten_thousand_jobs(server: str, tmp_path: Path, models: Path) -> None:
    plot = Plot(jobs=10_000, seconds=240, pause_seconds=(0.3, 2.0), poisons=3, seed=new_seed())
    play_out(server, plot, tmp_path, models, workers=4)
