"""The routes of the web page: what is there, how it is cached, and what is said where its packages are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from heliograph.api.page import page_routes
from heliograph.console import STATIC_FOLDER


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("index.html", "without.html", "app.js", "styles/page.css"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "notes.md").write_text("not for the web")
    return tmp_path


def client(folder: Path) -> TestClient:
    return TestClient(Starlette(routes=page_routes(folder)))


def test_files_are_served_below_console_with_a_policy_that_lets_nothing_else_in(folder: Path) -> None:
    answer = client(folder).get("/console/styles/page.css")
    assert (answer.text, answer.headers["content-type"]) == ("styles/page.css", "text/css; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert client(folder).get("/console/notes.md").status_code == 404
    assert client(folder).get("/console/index.html").status_code == 404


def test_what_a_browser_has_already_is_not_sent_again(folder: Path) -> None:
    tag = client(folder).get("/console/app.js").headers["etag"]
    answer = client(folder).get("/console/app.js", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_the_page_is_the_console_where_its_packages_are(folder: Path) -> None:
    assert client(folder).get("/").text == "without.html"
    (folder / "vendor").mkdir()
    (folder / "vendor" / "MANIFEST.json").write_text("{}")
    assert client(folder).get("/").text == "index.html"


def test_without_its_packages_the_page_says_how_to_add_them() -> None:
    text = (STATIC_FOLDER / "without.html").read_text(encoding="utf-8")
    assert "make console" in text
    assert "pip install" in text
