"""The fleet behind the API, against the real API server: what is shown, what is done, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from cluster.kubernetes import Cluster, Json, Namespace, wait_until
from cluster.queues import (
    GATEWAYS,
    VALKEY_CLAIM,
    ask,
    fleet_of,
    install_queue,
    open_volume,
    wait_for_fleet,
)
from cluster.releases import wait_for_pods

Measured = Callable[[str], None]
FOLLOWS_SECONDS = 2.0
SCALING = ("worker.autoscaling.minReplicas=2", "worker.autoscaling.maxReplicas=3")
RELEASE = (GATEWAYS, "gateway.replicas=2", *SCALING)


@pytest.fixture(scope="module")
def release(cluster: Cluster, image: str) -> Iterator[Namespace]:
    with cluster.namespace("fleet") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, *RELEASE, "fleet.actions=true")
        wait_for_pods(namespace, 2, component="worker")
        yield namespace


def tiles(fleet: Json) -> dict[str, str]:
    """The state of each worker that is not gone."""
    return {worker["name"]: worker["state"] for worker in fleet["workers"] if worker["state"] != "gone"}


def ready(fleet: Json) -> set[str]:
    return {name for name, state in tiles(fleet).items() if state in ("ready", "busy")}


def stop(namespace: Namespace, name: str) -> httpx2.Response:
    return ask(namespace, "DELETE", f"/v1/fleet/workers/{name}")


def scale(namespace: Namespace, **bounds: Any) -> httpx2.Response:
    return ask(namespace, "POST", "/v1/fleet/scale", json=bounds)


def logs_of_each_gateway(namespace: Namespace) -> list[list[Json]]:
    """What was done, as each gateway tells it."""
    addresses = [pod["status"]["podIP"] for pod in namespace.pods("gateway")]
    answers = [httpx2.get(f"http://{address}:8000/v1/fleet/log", timeout=10) for address in addresses]
    return [answer.raise_for_status().json()["actions"] for answer in answers]


def test_tiles_are_the_pods_and_follow_them(release: Namespace, measured: Measured) -> None:
    wait_for_fleet(release, "two tiles", lambda fleet: len(ready(fleet)) == 2, 30)
    fleet = fleet_of(release)
    pods = {pod["metadata"]["name"]: pod for pod in release.pods("worker")}
    assert set(tiles(fleet)) == set(pods)
    assert (fleet["bounds"], fleet["read_only"]) == ({"min": 2, "max": 3}, False)
    for worker in fleet["workers"]:
        if worker["name"] in pods:
            assert worker["host"] == pods[worker["name"]]["spec"]["nodeName"]
            assert worker["models"]["kmnist"] == "ready"
    victim = sorted(pods)[0]
    release.kubectl("delete", "pod", victim, "--wait=false")
    gone = wait_for_fleet(
        release, "it stops", lambda fleet: tiles(fleet).get(victim) in (None, "stopping"), 5
    )
    new = wait_for_fleet(release, "another one", lambda fleet: set(tiles(fleet)) - set(pods), 5)
    measured(f"a pod that is deleted is shown so after {gone:.1f} s, the new one {new:.1f} s later")
    assert gone <= FOLLOWS_SECONDS
    assert new <= FOLLOWS_SECONDS
    wait_for_fleet(release, "two ready", lambda fleet: len(ready(fleet)) == 2, 60)


def test_a_worker_is_stopped_and_replaced(release: Namespace) -> None:
    before = ready(fleet_of(release))
    victim = sorted(before)[0]
    action = stop(release, victim).raise_for_status().json()
    assert (action["what"], action["outcome"]) == (f"stopping {victim}", "ok")
    assert action["command"] == f"kubectl --namespace {release.name} delete pod {victim}"
    wait_until("it to go", lambda: victim not in release.ready_pods("worker"), 30)
    wait_for_fleet(release, "another one", lambda fleet: len(ready(fleet)) == 2, 60)
    first, second = logs_of_each_gateway(release)
    assert first == second, "every gateway tells the same"
    assert first[0] == action


@pytest.mark.parametrize("component", ["gateway", "valkey"])
def test_a_pod_that_is_no_worker_cannot_be_stopped(release: Namespace, component: str) -> None:
    pod = release.pods(component)[0]["metadata"]
    answer = stop(release, pod["name"])
    assert (answer.status_code, answer.json()["code"]) == (404, "worker-unknown")
    uids = {other["metadata"]["uid"] for other in release.pods(component)}
    assert pod["uid"] in uids


@pytest.mark.parametrize("name", ["nobody", "..%2fservices%2fheliograph", "%00", "a" * 4000])
def test_names_that_are_none(release: Namespace, name: str) -> None:
    assert stop(release, name).status_code == 404


def test_bounds_are_those_of_the_autoscaler(release: Namespace) -> None:
    action = scale(release, min=3, max=4).raise_for_status().json()
    assert action["command"].startswith(f"kubectl --namespace {release.name} patch hpa heliograph-worker")
    spec = release.get("hpa", "heliograph-worker")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 4)
    assert fleet_of(release)["bounds"] == {"min": 3, "max": 4}
    wait_for_pods(release, 3, component="worker")
    refused = scale(release, min=0, max=4)
    assert (refused.status_code, refused.json()["code"]) == (400, "parameter-invalid")
    assert "KEDA" in refused.json()["detail"]
    assert scale(release, min=2, max=3).status_code == 200
    assert logs_of_each_gateway(release)[0][0]["what"] == "scaled to 2 to 3 workers"


def test_without_metrics_it_says_what_is_missing_until_they_are_back(
    cluster: Cluster, release: Namespace
) -> None:
    def metrics_server(count: int) -> None:
        cluster.kubectl("-n", "kube-system", "scale", "deployment", "metrics-server", f"--replicas={count}")

    wait_for_fleet(release, "no obstacle", lambda fleet: fleet["obstacle"] is None, 90)
    metrics_server(0)
    try:
        wait_for_fleet(release, "an obstacle", lambda fleet: fleet["obstacle"], 60)
        said = fleet_of(release)["obstacle"]
        assert said.startswith("The autoscaler does not see the load: FailedGet"), said
    finally:
        metrics_server(1)
    wait_for_fleet(release, "no obstacle any more", lambda fleet: fleet["obstacle"] is None, 120)


def test_actions_are_refused_unless_the_chart_allows_them(release: Namespace, image: str) -> None:
    """The last of this release: it takes the rights away."""
    install_queue(release, image, *RELEASE)
    wait_for_fleet(release, "read only", lambda fleet: fleet["read_only"], 60)
    time.sleep(3)  # until no old gateway answers
    victim = sorted(ready(fleet_of(release)))[0]
    for answer in (stop(release, victim), scale(release, min=1, max=2)):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (403, "fleet-read-only")
        assert "fleet.actions=true" in problem["detail"]
        assert f"kubectl --namespace {release.name}" in problem["detail"]
    assert victim in release.ready_pods("worker")
    account = f"system:serviceaccount:{release.name}:heliograph-gateway"
    for verb, resource in (
        ("create", "pods/eviction"),
        ("patch", "hpa"),
        ("delete", "pods"),
        ("get", "secrets"),
    ):
        said = release.kubectl("auth", "can-i", verb, resource, f"--as={account}", check=False)
        assert said.strip() == "no", (verb, resource)
    assert release.kubectl("auth", "can-i", "watch", "pods", f"--as={account}").strip() == "yes"
