"""What every test shares: where real data is, and leak checks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service import Service, start_service

ROOT = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "HELIOGRAPH_TEST_DATA"


def find_data() -> Path | None:
    """The folder of real weights and pictures, or None where this checkout has none.

    A folder that the environment names must exist.
    """
    named = os.environ.get(DATA_VARIABLE)
    if named is not None:
        folder = Path(named).resolve()
        if not folder.is_dir():
            raise pytest.UsageError(f"{DATA_VARIABLE}={named} is not a folder.")
        return folder
    beside = ROOT.parent / "shared" / "data"
    return beside if beside.is_dir() else None


DATA = find_data()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many processes ``-n auto`` makes: one more than there are cores, as tests often wait."""
    return min((os.cpu_count() or 1) + 1, 8)


def pytest_report_header() -> str:
    return f"real data: {DATA or f'none, tests that need it are left out ({DATA_VARIABLE} names a folder)'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out tests that ask for `data_folder` where there is none."""
    if DATA is not None:
        return
    without = [item for item in items if "data_folder" in getattr(item, "fixturenames", ())]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real weights, pictures and hard inputs; tests that ask for it run only where it is."""
    assert DATA is not None
    return DATA


@pytest.fixture(scope="session")
def samples() -> Path:
    """Free photographs, fetched once and kept in the checkout's ignored cache."""
    folder = ROOT / ".cache" / "samples"
    command = [sys.executable, str(ROOT / "scripts" / "samples.py"), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope="session")
def model_settings() -> dict[str, str]:
    """Settings for real models: a store in the checkout's ignored cache, weights of the real data if there."""
    settings = {"HELIOGRAPH_MODEL_DIR": str(ROOT / ".cache" / "models")}
    if DATA is not None:
        settings["HELIOGRAPH_MODEL_MIRRORS"] = str(DATA / "u2net")
    return settings


@pytest.fixture(scope="session")
def service(model_settings: dict[str, str]) -> Iterator[Service]:
    """One real service with real models, shared by the tests that leave it as it is."""
    # The first start of all converts weights.
    with start_service(model_settings, patience=60) as running:
        yield running


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("HELIOGRAPH_") and name != DATA_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture
async def tasks_of_one_test() -> AsyncIterator[None]:
    """Compares the event loop's tasks before and after a test, leaving out those of anyio's runner.

    It must run in that loop: there is no running loop in the teardown of a plain fixture.
    """
    before = asyncio.all_tasks()
    yield
    for _ in range(3):  # a task that was cancelled ends one turn later
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if "TestRunner" not in repr(task.get_coro())}
    for task in left:
        task.cancel()
    assert not left, f"tasks left behind: {left}"


@pytest.fixture(autouse=True)
def no_task_left_behind(request: pytest.FixtureRequest) -> None:
    """Fails an async test that leaves asyncio tasks running."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("tasks_of_one_test")
