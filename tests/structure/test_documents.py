"""Documents tell the truth: generated pages are fresh, links and paths exist, every promise is listed."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph import __version__
from heliograph.api import errors as api_errors
from heliograph.api.openapi import build_document
from heliograph.api.routes import OPERATIONS_ROUTES, ROUTES
from heliograph.api.specs import RouteSpec
from heliograph.core import errors
from heliograph.serving.access import Scope
from heliograph.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)([^)#]+)")
CODE_PATH = re.compile(r"`((?:src|tests|docs|benchmarks|scripts|charts)/[\w./-]+)`")
ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.HeliographError)
]


def test_generated_pages_are_fresh() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [path for path in CODE_PATH.findall(text) if not (ROOT / path).exists()]
    assert missing == []


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`HELIOGRAPH_{name.upper()}`" in page


@pytest.mark.parametrize("kind", ERRORS, ids=lambda k: k.__name__)
def test_every_error_has_a_code_a_status_and_its_place_in_the_drawing(
    kind: type[errors.HeliographError],
) -> None:
    assert api_errors.status_of(kind()) in range(400, 600)
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_codes_are_unique() -> None:
    own = [kind.code for kind in ERRORS if "code" in vars(kind)]
    assert len(own) == len(set(own))


@pytest.mark.parametrize("spec", [*ROUTES, *OPERATIONS_ROUTES], ids=lambda s: f"{s.method} {s.path}")
def test_every_route_is_documented(spec: RouteSpec) -> None:
    operation = build_document("0")["paths"][spec.path][spec.method.lower()]
    assert operation["summary"] == spec.summary
    assert {str(status) for status in (spec.status, *spec.others)} <= set(operation["responses"])
    assert operation["operationId"]


def test_operations_routes_are_open_and_the_rest_asks_for_a_scope() -> None:
    open_routes = {(spec.method, spec.path) for spec in ROUTES if spec.scope is None}
    pages = ("/livez", "/readyz", "/startupz", "/docs", "/docs/{file}", "/openapi.json")
    signing_in_and_out = {("POST", "/v1/session"), ("DELETE", "/v1/session")}
    assert open_routes == {("GET", page) for page in pages} | signing_in_and_out
    assert all(spec.scope in (None, *Scope) for spec in ROUTES)


def test_the_changelog_tells_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in text
