"""``scripts/deploy``, ``scripts/cleanup`` and ``scripts/explain`` where there is no cluster: what they say then.

The scripts and the tools are the real ones; what is missing is missing on the PATH. ``tests/cluster`` runs them on
a real cluster.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("deploy", "cleanup", "explain")
PARTS = ("kubernetes.sh", "image.sh")
# What a bare machine has, as far as the scripts use it.
BASICS = ("awk", "bash", "dirname", "env", "sed")
NEWER_THAN_BASH_3 = re.compile(
    r"declare -A|local -[An]|mapfile|readarray|\$\{\w+(,,|\^\^|@[A-Z])|\|&|&>>|printf '%\(|wait -n"
)


@dataclass(frozen=True)
class Machine:
    """A checkout of the scripts on a machine with few programs."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / "bin"

    def install(self, names: Iterable[str], folder: Path | None = None) -> None:
        """Puts programs of this machine there."""
        target = folder or self.programs
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            (target / name).symlink_to(find_program(name))

    def run(self, script: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"PATH": str(self.programs), "HOME": str(self.folder), **environment}
        command = [str(self.folder / "checkout" / "scripts" / script), *words]
        return subprocess.run(
            command, env=own, cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )


def find_program(name: str) -> Path:
    """A program of the environment that the tests run in, else of the PATH."""
    own = Path(sys.executable).parent / name
    found = str(own) if own.is_file() else shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: `make kubernetes-tools` puts helm and kubectl into .venv/bin")
    return Path(found)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    scripts = tmp_path / "checkout" / "scripts"
    scripts.mkdir(parents=True)
    for name in (*PROGRAMS, *PARTS):
        shutil.copy2(ROOT / "scripts" / name, scripts)
    bare = Machine(tmp_path)
    bare.install(BASICS)
    return bare


@pytest.fixture
def closed_cluster(tmp_path: Path) -> str:
    """A kubeconfig whose API server's port is closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "closed",
        "clusters": [{"name": "it", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "x"}}],
        "contexts": [{"name": "closed", "context": {"cluster": "it", "user": "me"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return str(tmp_path / "kubeconfig")


@pytest.mark.parametrize("script", PROGRAMS)
def test_help_names_every_option(machine: Machine, script: str) -> None:
    said = machine.run(script, "--help")
    assert said.returncode == 0
    assert said.stderr == ""
    text = (ROOT / "scripts" / script).read_text() + (ROOT / "scripts" / "kubernetes.sh").read_text()
    patterns = re.findall(r"^ +(--?[a-z][-a-z |*]*)\)", text, re.M)
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", " ".join(patterns))) - {"--help"}
    assert {"--context", "--namespace", "--release"} <= options
    assert [option for option in options if option not in said.stdout] == []


@pytest.mark.parametrize("script", PROGRAMS)
@pytest.mark.parametrize("words", [["--nope"], ["word"], ["--namespace"], ["--context", ""], ["--nope=1"]])
def test_misuse_is_refused(machine: Machine, script: str, words: list[str]) -> None:
    said = machine.run(script, *words)
    assert said.returncode == 2
    assert words[0].partition("=")[0] in said.stderr
    assert "--help" in said.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--set"], "--set needs a value"),
        (["--timeout", "soon"], "90s or 10m"),
        (["--timeout", "5ms"], "90s or 10m"),
        (["--push"], "--image REGISTRY/NAME"),
        (["--no-build", "--load-with", "true"], "--no-build goes with neither"),
    ],
)
def test_options_of_deploy_that_make_no_sense(machine: Machine, words: list[str], reason: str) -> None:
    said = machine.run("deploy", *words)
    assert said.returncode == 2
    assert reason in said.stderr


def test_values_file_missing(machine: Machine) -> None:
    said = machine.run("deploy", "--values", "mine.yaml")
    assert said.returncode == 1
    assert "mine.yaml does not exist" in said.stderr


def test_tools_missing_one_after_the_other(machine: Machine) -> None:
    for name in ("kubectl", "helm"):
        for script in PROGRAMS:
            said = machine.run(script)
            assert said.returncode == 1
            assert f"{name} is missing" in said.stderr
            assert "make kubernetes-tools" in said.stderr
        machine.install([name])
    said = machine.run("deploy")
    assert said.returncode == 1
    assert "docker is missing" in said.stderr
    assert "--no-build" in said.stderr


@pytest.mark.parametrize("script", PROGRAMS)
def test_no_cluster_chosen(machine: Machine, script: str) -> None:
    machine.install(["kubectl", "helm"])
    words = ["--no-build"] if script == "deploy" else []
    said = machine.run(script, *words)
    assert said.returncode == 1
    assert f"No cluster is chosen: {machine.folder}/.kube/config names none." in said.stderr
    assert "minikube start" in said.stderr


@pytest.mark.parametrize("script", PROGRAMS)
def test_cluster_does_not_answer(machine: Machine, closed_cluster: str, script: str) -> None:
    machine.install(["kubectl", "helm"])
    words = ["--no-build"] if script == "deploy" else []
    said = machine.run(script, *words, KUBECONFIG=closed_cluster)
    assert said.returncode == 1
    assert "context closed does not answer" in said.stderr
    assert "refused" in said.stderr
    assert len(said.stderr.splitlines()) == 2, said.stderr
    assert said.stdout == ""


def test_context_that_is_not_there(machine: Machine, closed_cluster: str) -> None:
    machine.install(["kubectl", "helm"])
    said = machine.run("cleanup", "--context=other", KUBECONFIG=closed_cluster)
    assert said.returncode == 1
    assert "context other does not answer" in said.stderr
    assert "kubectl config get-contexts" in said.stderr


def test_tools_of_the_checkout_are_found(machine: Machine, closed_cluster: str) -> None:
    machine.install(["kubectl", "helm"], machine.folder / "checkout" / ".venv" / "bin")
    said = machine.run("cleanup", KUBECONFIG=closed_cluster)
    assert "context closed does not answer" in said.stderr


@pytest.mark.parametrize("name", [*PROGRAMS, *PARTS])
def test_keeps_to_the_bash_of_macos(name: str) -> None:
    assert NEWER_THAN_BASH_3.findall((ROOT / "scripts" / name).read_text()) == []
