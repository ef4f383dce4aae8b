"""What the cluster tests share: the cluster, the image, pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from browser.pages import chromium
from checkout import ROOT, tracked
from cluster.kubernetes import BUILD, PROGRAM, Cluster, start_cluster

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGE = "heliograph:cluster-test"
MINUTES = 60


MEASURED = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs the cluster, and time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            # Building the cluster and the image, before the first test, has deadlines of its own.
            item.add_marker(pytest.mark.timeout(10 * MINUTES, func_only=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Shows what the tests measured."""
    for line in config.stash.get(MEASURED, []):
        terminalreporter.write_line(f"measured: {line}")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a line for the end of the run."""
    lines = request.config.stash.setdefault(MEASURED, [])
    return lambda text: lines.append(f"{request.node.name}: {text}")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """A real cluster of two nodes that stays up after the tests."""
    return start_cluster(["crds", "registry", "keda"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: while its event loop is there, no other test may have one."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, as a user has it."""
    folder = tmp_path_factory.mktemp("checkout") / "heliograph"
    for file in tracked():
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target)
    return folder


@pytest.fixture(scope="session")
def image(cluster: Cluster, checkout: Path) -> str:
    """The image, built from the checkout and on every node."""
    cluster.run(PROGRAM, "base", seconds=300)
    cluster.run(*BUILD, "-t", IMAGE, ".", folder=checkout, seconds=900)
    cluster.load_image(IMAGE)
    return IMAGE


@pytest.fixture(scope="session")
def pictures(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures that fit into a ConfigMap: a cat, a cup of coffee, a drawn つ."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("cat.png", "coffee.png"):
        with Image.open(samples / name) as picture:
            picture.convert("RGB").resize((320, 240)).save(folder / f"{Path(name).stem}.jpg", quality=90)
    shutil.copy2(samples / "tsu.png", folder)
    return folder
