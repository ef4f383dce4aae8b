"""Size limits, names and exemptions, so that no list of exceptions is ever needed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from checkout import ROOT, tracked

MAX_FILE_LINES = 400
MAX_SCRIPT_LINES = 250
MAX_FUNCTION_LINES = 60
MAX_EXEMPTIONS = 10
BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
EXEMPTION = re.compile(r"#\s*(type: ignore|noqa)\S*\s*[A-Z0-9, ]*(?P<cause>[-#] .*)?")


FILES = tracked()
PYTHON = [path for path in FILES if path.suffix == ".py"]
WEB = [path for path in FILES if path.suffix in (".js", ".css")]


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", WEB, ids=lambda p: str(p.relative_to(ROOT)))
def test_page_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_SCRIPT_LINES


def test_modules_have_names_that_say_something() -> None:
    nameless = [path for path in PYTHON if path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES]
    assert nameless == []


def test_exemptions_are_few_and_name_their_cause() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in PYTHON
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if EXEMPTION.search(line)
    ]
    without_cause = [row for row in found if not (match := EXEMPTION.search(row)) or not match["cause"]]
    assert without_cause == []
    assert len(found) <= MAX_EXEMPTIONS, "\n".join(found)
