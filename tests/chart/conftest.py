"""Leaves the tests of the chart out where the pinned Helm does not run and none is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubernetes_tools import ToolsMissing, find, fit_this_machine


def has_helm() -> bool:
    """Whether there is a Helm, or there ought to be one."""
    try:
        find("helm")
    except ToolsMissing:
        return fit_this_machine()
    return True


def pytest_report_header() -> str | None:
    return None if has_helm() else "no helm on the PATH: the tests of the chart are left out"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if has_helm():
        return
    without = [item for item in items if Path(__file__).parent in item.path.parents]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]
