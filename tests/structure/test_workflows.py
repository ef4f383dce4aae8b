"""The workflows do what people do, with no more rights than they need, and nothing in them moves by itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$")
HOST = re.compile(r"\b[\w-]+\.(?:com|dev|io|net|org)\b")
RIGHTS_TO_CHANGE = {"contents", "packages", "id-token"}

Yaml = Any  # what a YAML file holds is GitHub's own format


def load(file: Path) -> Yaml:
    """A workflow; YAML takes its key `on` for a boolean."""
    return yaml.safe_load(file.read_text(encoding="utf-8"))


JOBS = [(file, name, job) for file in FILES for name, job in load(file)["jobs"].items()]
STEPS = [(file, step) for file, _, job in JOBS for step in job.get("steps", ())]
COMMANDS = [step["run"] for _, step in STEPS if "run" in step]
each_file = pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
each_job = pytest.mark.parametrize(
    ("file", "job"), [(f, j) for f, _, j in JOBS], ids=[f"{f.stem}-{n}" for f, n, _ in JOBS]
)


def test_every_folder_of_tests_is_run_by_a_target() -> None:
    tests = ROOT / "tests"
    folders = {file.relative_to(tests).parts[0] for file in tests.rglob("test_*.py")}
    run = set(re.findall(r"tests/(\w+)", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert folders <= run


def test_there_are_workflows() -> None:
    assert {file.stem for file in FILES} >= {"ci", "release"}
    assert COMMANDS


def test_every_target_exists() -> None:
    named = {name for command in COMMANDS for name in re.findall(r"\bmake ([a-z-]+)", command)}
    assert {"check", "test", "test-browser"} <= named <= TARGETS


def test_every_script_exists_and_runs() -> None:
    named = {name for command in COMMANDS for name in re.findall(r"\bscripts/[\w.-]+", command)}
    assert {"scripts/deploy", "scripts/cleanup", "scripts/publish"} <= named
    for name in named:
        assert (ROOT / name).is_file(), name
        assert name.endswith(".py") or os.access(ROOT / name, os.X_OK), name


@each_job
def test_every_job_ends(file: Path, job: Yaml) -> None:
    if "uses" in job:  # a workflow of ours, whose own jobs end
        assert (ROOT / job["uses"]) in FILES, file
    else:
        assert 1 <= job["timeout-minutes"] <= 60


@each_job
def test_runners_do_not_move(file: Path, job: Yaml) -> None:
    runners = job.get("strategy", {}).get("matrix", {}).get("runner", [job.get("runs-on", "")])
    assert not any("latest" in runner for runner in runners), file


@each_file
def test_rights_are_few(file: Path) -> None:
    assert load(file)["permissions"] == {"contents": "read"}
    for name, job in load(file)["jobs"].items():
        given = {right for right, level in job.get("permissions", {}).items() if level == "write"}
        assert given <= RIGHTS_TO_CHANGE, name
        assert not given or file.stem == "release", name


@each_file
def test_runs_do_not_overtake_each_other(file: Path) -> None:
    assert load(file)["concurrency"]["group"]


@each_file
def test_actions_are_pinned(file: Path) -> None:
    used = re.findall(r"\buses: (.+)", file.read_text(encoding="utf-8"))
    assert used
    assert [line for line in used if not line.startswith("./") and not PINNED.match(line)] == []


def test_one_action_has_one_version() -> None:
    used = {line for file in FILES for line in re.findall(r"\buses: (.+@.+)", file.read_text())}
    assert len({line.partition("@")[0] for line in used}) == len(used)


def test_checkouts_keep_no_credentials() -> None:
    checkouts = [step for _, step in STEPS if str(step.get("uses", "")).startswith("actions/checkout@")]
    assert len(checkouts) >= len(FILES)
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_expression_is_pasted_into_a_command() -> None:
    """What GitHub fills in comes by the environment, where a shell cannot take it for a command."""
    assert [command for command in COMMANDS if "${{" in command] == []


@each_file
def test_no_host_is_named(file: Path) -> None:
    assert HOST.findall(file.read_text(encoding="utf-8")) == []
