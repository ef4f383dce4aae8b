"""The pod of `helm test`, and its program run against a real service."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.rendering import CHART, Values, container, helm_test_pod, pod, values
from heliograph.serving.access import Scope, create_key
from service import Service, start_service

PROGRAM = CHART / "files" / "check.py"


def run_check(
    service: str, operations: str, *, keys_asked: bool = False, takes_jobs: bool = False
) -> subprocess.CompletedProcess[str]:
    """The program as the pod runs it: its text on the command line, the rest in the environment."""
    environment = {**os.environ, "SERVICE": service, "OPERATIONS": operations, "PATIENCE_SECONDS": "3"}
    environment["KEYS_ASKED"] = "true" if keys_asked else "false"
    environment["TAKES_JOBS"] = "true" if takes_jobs else "false"
    command = [sys.executable, "-c", PROGRAM.read_text(encoding="utf-8")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """A service that asks for keys, with its operations address."""
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    file.write_text(create_key("laptop", [Scope.PREDICT])[1].line())
    port = free_port()
    with start_service(models="kmnist", api_keys_file=file, ops_port=port) as service:
        yield service, f"http://127.0.0.1:{port}"


def test_it_passes_where_everything_answers(service: Service) -> None:
    result = run_check(service.url, service.url, takes_jobs=True)
    assert result.returncode == 0, result.stderr
    assert "ok: kmnist answers" in result.stdout
    assert "ok: efficientnet-lite0 has done it" in result.stdout
    assert "ok: efficientnet-lite0: " in result.stdout
    assert "silhouette: a cut-out" in result.stdout
    assert result.stdout.endswith("ok: metrics are there\n")


def test_with_keys_it_sees_that_nobody_gets_in(guarded: tuple[Service, str]) -> None:
    service, operations = guarded
    result = run_check(service.url, operations, keys_asked=True)
    assert result.returncode == 0, result.stderr
    assert "ok: no key is refused" in result.stdout
    assert "ok: an unknown key is refused" in result.stdout


def test_it_fails_where_the_door_is_open(service: Service) -> None:
    result = run_check(service.url, service.url, keys_asked=True)
    assert result.returncode == 1
    assert result.stderr.startswith("FAILED: no key is refused: 200")


def test_it_fails_where_the_door_is_shut(guarded: tuple[Service, str]) -> None:
    service, operations = guarded
    result = run_check(service.url, operations)
    assert result.returncode == 1
    assert result.stderr.startswith("FAILED: kmnist answers: 401")


def test_it_fails_where_nobody_answers() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    result = run_check(address, address)
    assert result.returncode == 1
    assert "does not answer" in result.stderr


def test_it_fails_without_metrics(service: Service) -> None:
    result = run_check(service.url, f"{service.url}/v1")
    assert result.returncode == 1
    assert "FAILED: metrics are there: 404" in result.stderr


@pytest.mark.parametrize(
    "given", [{}, values(service__port=81, auth__keys=["a predict " + "0" * 64])], ids=str
)
def test_the_pod_runs_that_program_against_the_services(given: Values) -> None:
    (tester,) = helm_test_pod(given)["spec"]["containers"]
    assert tester["args"] == [PROGRAM.read_text(encoding="utf-8")]
    assert tester["command"][-1] == "-c"
    port = given.get("service", {}).get("port", 80)
    assert {entry["name"]: entry["value"] for entry in tester["env"]} == {
        "SERVICE": f"http://heliograph:{port}",
        "OPERATIONS": "http://heliograph-ops:8001",
        "KEYS_ASKED": "true" if "auth" in given else "false",
        "TAKES_JOBS": "false",
    }


def test_with_a_queue_it_asks_the_gateway_and_sends_a_job() -> None:
    (tester,) = helm_test_pod({"mode": "queue"})["spec"]["containers"]
    assert {entry["name"]: entry["value"] for entry in tester["env"]} == {
        "SERVICE": "http://heliograph:80",
        "OPERATIONS": "http://heliograph-gateway-ops:8001",
        "KEYS_ASKED": "false",
        "TAKES_JOBS": "true",
    }


def test_the_pod_is_a_test_and_none_of_those_that_serve() -> None:
    tester = helm_test_pod()
    assert tester["metadata"]["annotations"]["helm.sh/hook"] == "test"
    selector = pod()["metadata"]["labels"]["app.kubernetes.io/component"]
    assert tester["metadata"]["labels"]["app.kubernetes.io/component"] != selector
    assert tester["spec"]["restartPolicy"] == "Never"


def test_the_pod_has_the_image_and_the_place_of_those_that_serve() -> None:
    given = values(image__tag="7", image__pullSecrets=[{"name": "login"}], serve__nodeSelector={"a/b": "c"})
    spec = helm_test_pod(given)["spec"]
    assert spec["containers"][0]["image"] == container(given)["image"]
    for name in ("imagePullSecrets", "nodeSelector", "securityContext", "tolerations"):
        assert spec[name] == pod(given)["spec"][name]


def test_the_program_is_found_in_the_image() -> None:
    """The Dockerfile and the pod agree on where Python is."""
    (tester,) = helm_test_pod()["spec"]["containers"]
    folder = Path(tester["command"][0]).parent.parent
    dockerfile = (CHART.parent.parent / "Dockerfile").read_text(encoding="utf-8")
    assert str(folder) in dockerfile
