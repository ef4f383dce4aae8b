"""What every test shares: where real data is, and leak checks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("HELIOGRAPH_") and name != DATA_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_task_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails an async test that leaves asyncio tasks running."""
    if request.node.get_closest_marker("anyio") is None:
        yield
        return
    before: set[asyncio.Task[object]] = set()
    yield
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    left = asyncio.all_tasks(loop) - before - {asyncio.current_task(loop)}
    assert not left, f"tasks left behind: {left}"
