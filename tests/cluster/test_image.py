"""The image keeps its promises: who it runs as, what is in it, what it says of itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.kubernetes import BUILD, Cluster
from heliograph import __version__
from heliograph.console import STATIC_FOLDER

RESTRICTED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SBOM = "/usr/share/sbom/heliograph.cdx.json"
START_SECONDS = 30


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=check)


def python(image: str, code: str) -> str:
    return docker("run", "--rm", "--entrypoint=python3", image, "-c", code).stdout


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    parsed: list[dict[str, Any]] = json.loads(docker("image", "inspect", image).stdout)
    found: dict[str, Any] = parsed[0]["Config"]
    return found


@pytest.fixture(scope="module")
def sbom(image: str, config: dict[str, Any]) -> dict[str, Any]:
    path = config["Labels"]["io.github.heliograph.sbom"]
    parsed: dict[str, Any] = json.loads(docker("run", "--rm", "--entrypoint=cat", image, path).stdout)
    return parsed


def components(sbom: dict[str, Any], prefix: str) -> set[tuple[str, str]]:
    found = (part for part in sbom["components"] if part.get("purl", "").startswith(prefix))
    return {(part["name"].lower().replace("_", "-"), part["version"]) for part in found}


def test_it_says_what_it_is(config: dict[str, Any]) -> None:
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert (labels["title"], labels["licenses"], labels["version"]) == (
        "Heliograph",
        "Apache-2.0",
        __version__,
    )
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["heliograph"], ["serve"])
    assert set(config["ExposedPorts"]) == {"8000/tcp", "8001/tcp"}
    assert config["StopSignal"] == "SIGTERM"


def test_the_bill_of_materials_lists_what_is_there(image: str, sbom: dict[str, Any]) -> None:
    code = "from importlib.metadata import distributions as d\nfor p in d(): print(p.metadata['Name'], p.version)"
    installed = {tuple(line.lower().replace("_", "-").split()) for line in python(image, code).splitlines()}
    assert ("heliograph", __version__) in installed
    assert installed <= components(sbom, "pkg:pypi/")
    query = ("--entrypoint=dpkg-query", image, "--show", "--showformat=${Package} ${Version}\n")
    packages = {tuple(line.split()) for line in docker("run", "--rm", *query).stdout.splitlines()}
    assert components(sbom, "pkg:deb/") == packages


def test_the_bill_of_materials_lists_the_models_that_are_there(image: str, sbom: dict[str, Any]) -> None:
    listed = json.loads(docker("run", "--rm", image, "models", "list", "--json").stdout)
    here = {
        (model["name"], variant["precision"])
        for model in listed
        for variant in model["variants"]
        if variant["here"]
    }
    models = [part for part in sbom["components"] if part["type"] == "machine-learning-model"]
    assert {tuple(part["bom-ref"].removeprefix("model:").rsplit("-", 1)) for part in models} == here
    assert all(part["licenses"] and part["hashes"][0]["alg"] == "SHA-256" for part in models)


def test_what_only_the_build_needs_is_not_there(image: str) -> None:
    code = "import importlib.util as u\nprint([n for n in ('pip', 'onnx', 'hatchling', 'cyclonedx') if u.find_spec(n)])"
    assert python(image, code).strip() == "[]"


def test_the_console_is_the_one_of_this_checkout(image: str) -> None:
    code = (
        "import hashlib, json\nfrom heliograph.console import STATIC_FOLDER as f\n"
        "print(json.dumps({p.relative_to(f).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()"
        " for p in f.rglob('*') if p.is_file()}))"
    )
    expected = {path.relative_to(STATIC_FOLDER).as_posix(): path for path in STATIC_FOLDER.rglob("*.*")}
    assert "vendor/MANIFEST.json" in expected, "npm must reach a registry: make console"
    assert json.loads(python(image, code)) == {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in expected.items()
        if not name.endswith(".d.ts")
    }


def test_where_npm_reaches_nothing_the_image_is_made_without_the_console_and_says_so(
    cluster: Cluster, image: str, checkout: Path
) -> None:
    nowhere = ("--build-arg", "NPM_CONFIG_REGISTRY=http://127.0.0.1:1")
    built = cluster.run(*BUILD, *nowhere, "--target", "project", ".", folder=checkout, seconds=300)
    assert "without the web console" in built.stdout + built.stderr, image


def test_without_keys_it_refuses_and_says_what_helps(image: str) -> None:
    refused = docker("run", "--rm", image, check=False)
    assert refused.returncode == 1
    assert "heliograph keys create" in refused.stderr
    assert "HELIOGRAPH_AUTH=off" in refused.stderr


@pytest.fixture
def container(image: str) -> Iterator[str]:
    """A service as somebody whom the image does not know, with nothing that it can write but /tmp."""
    command = ("run", "--detach", *RESTRICTED, "--user=1234567890:0", "--env=HELIOGRAPH_AUTH=off", image)
    name = docker(*command).stdout.strip()
    yield name
    docker("rm", "--force", name)


def test_it_runs_restricted_as_anybody_and_stops_when_asked(container: str) -> None:
    probe = ("exec", container, "heliograph", "classify", "--help")
    assert docker(*probe).returncode == 0
    until = time.monotonic() + START_SECONDS
    while '"event": "model ready"' not in docker("logs", container).stderr:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert docker("exec", container, "cat", "/proc/1/cmdline").stdout.endswith("heliograph\0serve\0")
    docker("stop", "--time=20", container)
    state = docker("inspect", "--format={{.State.ExitCode}}", container).stdout.strip()
    assert state == "0"
