"""What goes wrong with a queue is said in a clear sentence, and goes on by itself once it is mended."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path

from cluster.kubernetes import Cluster, Namespace, wait_until
from cluster.queues import (
    GATEWAYS,
    VALKEY_CLAIM,
    WORKERS,
    ask,
    fleet_of,
    install_queue,
    open_volume,
    wait_for_fleet,
)
from cluster.releases import wait_for_pods

ONE_OF_EACH = (GATEWAYS, "gateway.replicas=1", WORKERS, "worker.replicas=1")


def set_password(namespace: Namespace, password: str) -> None:
    """Changes the Secret; the server goes on with the one that it was started with."""
    data = {"data": {"password": base64.b64encode(password.encode()).decode()}}
    namespace.kubectl("patch", "secret", "heliograph-valkey", "-p", json.dumps(data))


def password_of(namespace: Namespace) -> str:
    return base64.b64decode(namespace.get("secret", "heliograph-valkey")["data"]["password"]).decode()


def logs(namespace: Namespace, component: str) -> str:
    """What the pods of a component said last, also before they were restarted."""
    said = ""
    for pod in namespace.pods(component):
        for before in ((), ("--previous",)):
            said += namespace.kubectl("logs", pod["metadata"]["name"], "--tail=20", *before, check=False)
    return said


def says_why(namespace: Namespace, component: str) -> bool:
    return "refuses the user or password" in logs(namespace, component)


def send(namespace: Namespace, picture: Path, count: int) -> int:
    """The status of a request for so many jobs."""
    files = [("image", (f"{number}.jpg", picture.read_bytes())) for number in range(count)]
    answer = ask(namespace, "POST", "/v1/jobs?model=kmnist", files=files)
    if answer.status_code == 503:
        assert answer.json()["code"] == "queue-full", answer.text
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status_code


def test_a_wrong_password(cluster: Cluster, image: str, pictures: Path) -> None:
    with cluster.namespace("password") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, *ONE_OF_EACH)
        right = password_of(namespace)
        set_password(namespace, "wrong")
        for role in ("gateway", "worker"):
            namespace.kubectl("delete", "pod", *namespace.ready_pods(role), "--wait=false")
        for role in ("gateway", "worker"):
            wait_until(f"a {role} that says why", partial(says_why, namespace, role), 90)
            assert namespace.ready_pods(role) == []
        explained = cluster.run("scripts/explain", "--namespace", namespace.name).stdout
        assert "refuses the user or password" in explained
        set_password(namespace, right)
        for role in ("gateway", "worker"):
            wait_for_pods(namespace, 1, 120, component=role)  # the kubelet tries again by itself
        assert send(namespace, pictures / "tsu.png", 1) == 202


def test_a_server_without_room(cluster: Cluster, image: str, pictures: Path) -> None:
    """Jobs are refused with the time to come back at, those that were accepted are done, and then there is room."""
    with cluster.namespace("room") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        small = ("valkey.maxMemoryMegabytes=32", GATEWAYS, "gateway.replicas=1", WORKERS)
        install_queue(namespace, image, *small, "worker.replicas=0")
        accepted = 0
        while (status := send(namespace, pictures / "cat.jpg", 100)) == 202:
            accepted += 100
            assert accepted < 5000, "it takes everything"
        assert status == 503
        assert accepted > 100
        sync = ask(namespace, "GET", "/readyz")
        assert sync.status_code == 200, "the gateway is not at fault"
        install_queue(namespace, image, *small, "worker.replicas=2")
        wait_until("room again", lambda: send(namespace, pictures / "tsu.png", 1) == 202, 120)
        wait_until("all done", lambda: states(namespace)["done"] >= accepted, 120)


def states(namespace: Namespace) -> dict[str, int]:
    """How many jobs ended how, by the gateway's metrics."""
    pod = namespace.pods("gateway")[0]["metadata"]["name"]
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8001/metrics', timeout=5).read().decode())"
    text = namespace.kubectl("exec", pod, "--", "python3", "-c", code)
    counts = [
        line.rsplit(" ", 1)
        for line in text.splitlines()
        if line.startswith("heliograph_queue_jobs_finished{")
    ]
    return {name.partition('state="')[2].rstrip('"}'): int(float(value)) for name, value in counts}


def test_keda_that_does_not_run(cluster: Cluster, image: str) -> None:
    """The object is there and nobody takes note of it: the fleet says so, and scaling begins once KEDA runs."""

    def operator(count: int) -> None:
        cluster.kubectl("-n", "keda", "scale", "deployment", "keda-operator", f"--replicas={count}")

    keda = ("worker.autoscaling.by=keda", "worker.autoscaling.minReplicas=2", GATEWAYS, "gateway.replicas=1")
    with cluster.namespace("without-keda") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        operator(0)
        try:
            install_queue(namespace, image, *keda)
            wait_for_fleet(namespace, "an obstacle", lambda fleet: fleet["obstacle"], 60)
            assert "its operator does not seem to run" in fleet_of(namespace)["obstacle"]
            assert len(namespace.pods("worker")) == 1
        finally:
            operator(1)
        wait_for_pods(namespace, 2, 90, component="worker")
        wait_for_fleet(namespace, "no obstacle", lambda fleet: fleet["obstacle"] is None, 30)
