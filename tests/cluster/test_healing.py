"""Faults under load: pods deleted, a new version rolled out, a node drained, a node killed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.kubernetes import Cluster, Json, Namespace, wait_until
from cluster.releases import FIXED, install, load_on, longest_silence, wait_for_pods

WORK = (
    "4:/classify?model=kmnist:/load/tsu.png",
    "2:/classify:/load/cat.jpg",
    "1:/remove-background:/load/coffee.jpg",
)
"""Quick and slow requests, so that some are always in the middle."""
SILENCE_SECONDS = 10

Measured = Callable[[str], None]


@pytest.fixture
def release(cluster: Cluster, image: str) -> Iterator[Namespace]:
    """Two pods, one on each node."""
    with cluster.namespace("healing") as namespace:
        install(namespace, image, *FIXED, "serve.nodeFailureSeconds=5")
        wait_for_pods(namespace, 2)
        assert nodes_of(namespace) == ["node-1", "node-2"], "the pods are spread over the nodes"
        yield namespace


def nodes_of(namespace: Namespace) -> list[str]:
    """Where the pods run."""
    return sorted(pod["spec"]["nodeName"] for pod in namespace.pods())


def outcome(account: Json) -> str:
    """The account in one line."""
    return (
        f"{account['answered']} of {account['sent']} answered by {len(account['workers'])} pods, "
        f"{len(account['dropped'])} dropped, {account['not_connected']} not connected, {account['busy']} times busy, "
        f"slowest {account['slowest_seconds']:.1f} s, longest silence {longest_silence(account)} s"
    )


def nothing_was_lost(account: Json) -> None:
    """Every request was answered, and none that a pod had taken was dropped."""
    assert account["failed"] == []
    assert account["dropped"] == []
    assert account["answered"] == account["sent"] > 100


def test_pods_deleted_at_random(release: Namespace, image: str, pictures: Path, measured: Measured) -> None:
    with load_on(release, image, pictures, WORK) as load:
        for _ in range(4):
            release.kubectl("delete", "pod", secrets.choice(release.ready_pods()), "--wait=false")
            time.sleep(1)
            wait_for_pods(release, 2)
        account = load.finish()
    measured(outcome(account))
    nothing_was_lost(account)
    assert len(account["workers"]) >= 4


def test_rolling_upgrade(release: Namespace, image: str, pictures: Path, measured: Measured) -> None:
    before = set(release.ready_pods())
    with load_on(release, image, pictures, WORK) as load:
        install(release, image, *FIXED, "serve.nodeFailureSeconds=5", "settings.maxInFlight=48")
        wait_until("the old pods gone", lambda: not before & names(release), 120)
        time.sleep(2)
        account = load.finish()
    measured(outcome(account))
    nothing_was_lost(account)
    assert set(release.ready_pods()) <= set(account["workers"])
    assert before <= set(account["workers"])


def names(namespace: Namespace) -> set[str]:
    """Every pod of the release, those that are stopping too."""
    found = namespace.get("pods", "-l", "app.kubernetes.io/name=heliograph")["items"]
    return {pod["metadata"]["name"] for pod in found}


def test_node_drained(
    cluster: Cluster, release: Namespace, image: str, pictures: Path, measured: Measured
) -> None:
    try:
        with load_on(release, image, pictures, WORK, node="node-1") as load:
            words = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s"]
            mine = "--pod-selector=app.kubernetes.io/name=heliograph"
            cluster.kubectl("drain", "node-2", mine, *words, seconds=150)
            wait_for_pods(release, 2)
            assert nodes_of(release) == ["node-1", "node-1"]
            account = load.finish()
    finally:
        cluster.kubectl("uncordon", "node-2")
    measured(outcome(account))
    nothing_was_lost(account)


def test_node_killed(
    cluster: Cluster, release: Namespace, image: str, pictures: Path, measured: Measured
) -> None:
    """What the dead node had taken is lost to it, but not to a client that tries again; the service never stops."""
    try:
        with load_on(release, image, pictures, WORK, node="node-1") as load:
            cluster.stop_node("node-2")
            gone = wait_until("the node not ready", lambda: not cluster.node_ready("node-2"), 90)
            moved = wait_until("two pods on the other node", lambda: moved_to(release, "node-1"), 120)
            time.sleep(2)
            account = load.finish()
    finally:
        cluster.start_node("node-2")
    measured(f"not ready after {gone:.0f} s, pods moved {moved:.0f} s later")
    measured(outcome(account))
    assert account["failed"] == []
    assert account["answered"] == account["sent"]
    assert longest_silence(account) <= SILENCE_SECONDS
    wait_for_pods(release, 2)


def moved_to(namespace: Namespace, node: str) -> bool:
    """Whether two ready pods run on the node."""
    ready = namespace.ready_pods()
    there = [pod["metadata"]["name"] for pod in namespace.pods() if pod["spec"].get("nodeName") == node]
    return len(set(there) & set(ready)) == 2
