"""Chromium, and what stands behind the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browser.pages import chromium, opened
from check_console import install_tools
from service import Service, start_service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """The page of one process with real models."""
    with opened(browser, service.url) as page:
        yield page


@pytest.fixture(scope="session")
def fleet_service(
    model_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """``heliograph up`` with two workers and real models."""
    environment = {**model_settings, "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))}
    with start_service(environment, command="up", patience=90, workers=2, drain_seconds=0) as running:
        yield running


@pytest.fixture(scope="session")
def console_tools() -> Path:
    """The folder of npm packages for tests."""
    return install_tools()
