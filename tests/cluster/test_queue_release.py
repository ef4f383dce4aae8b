"""Mode `queue`: it answers, and its workers come and go with what there is to do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from cluster.answers import check_answers
from cluster.kubernetes import Cluster, Namespace, wait_until
from cluster.queues import (
    GATEWAYS,
    VALKEY_CLAIM,
    WORKERS,
    Server,
    ask,
    install_queue,
    open_server,
    open_volume,
    url_of,
)
from cluster.releases import jobs_on, load_on, wait_for_pods
from heliograph.adapters.queue.keys import CONSUMER_GROUP, Keys
from heliograph.core.jobs import Priority

Measured = Callable[[str], None]
QUICK = (
    "worker.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=10",
    "worker.autoscaling.behavior.scaleDown.policies[0].type=Pods",
    "worker.autoscaling.behavior.scaleDown.policies[0].value=4",
    "worker.autoscaling.behavior.scaleDown.policies[0].periodSeconds=5",
)
KEDA = (
    *QUICK,
    GATEWAYS,
    "gateway.replicas=1",
    "worker.autoscaling.by=keda",
    "worker.autoscaling.minReplicas=0",
    "worker.autoscaling.maxReplicas=4",
    "worker.autoscaling.pollingSeconds=2",
    "worker.autoscaling.cooldownSeconds=10",
)


def replicas(namespace: Namespace) -> int:
    """How many workers somebody wants."""
    return int(namespace.get("deployment", "heliograph-worker")["spec"]["replicas"])


def open_jobs(server: Server) -> int:
    """How many jobs wait or run."""
    keys, jobs = Keys("default"), 0
    with server.client() as client:
        for priority in Priority:
            for group in client.xinfo_groups(keys.stream(priority)):
                assert group["name"] == CONSUMER_GROUP.encode()
                jobs += group["pending"] + group["lag"]
    return jobs


def test_keda_scales_from_nothing_and_back(
    cluster: Cluster, image: str, pictures: Path, measured: Measured
) -> None:
    """A thousand pictures: no worker, then some, then none again, and never none while there is something to do."""
    with cluster.namespace("keda") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, *KEDA)
        assert hpas_of_workers(namespace) == ["keda-hpa-heliograph-worker"], "one scaler and no more"
        wait_until("no worker", lambda: replicas(namespace) == 0 and not namespace.pods("worker"), 60)
        began = time.monotonic()
        check_answers(url_of(namespace), pictures)
        measured(f"three answers after {time.monotonic() - began:.1f} s, with no worker at the start")
        wait_until("no worker again", lambda: replicas(namespace) == 0, 90)
        server, most, ended_at = open_server(namespace), 0, 0.0
        with jobs_on(
            namespace, image, pictures, "cat.jpg", "--jobs", 1000, "--model", "efficientnet-lite0"
        ) as load:
            while not ended_at or replicas(namespace) > 0:
                left, wanted = open_jobs(server), replicas(namespace)
                most = max(most, wanted)
                assert wanted > 0 or not left or not most, f"no worker for {left} jobs"
                assert time.monotonic() - began < 400, "it never ends"
                if most and not left and not ended_at:
                    ended_at = time.monotonic()
                time.sleep(0.5)
            account = load.account(60)
        down = time.monotonic() - ended_at
        measured(f"1,000 pictures by up to {most} workers; the last one went {down:.0f} s after the last job")
        assert most >= 3
        assert (
            account["states"]["done"] + account["states"]["failed"] + account["states"].get("cancelled", 0)
            == 1000
        )
        assert len(account["workers"]) >= 3, "the new pods took their part"
        namespace.helm("test", "heliograph", "--timeout", "120s")


def test_cpu_scales_up_and_down(cluster: Cluster, image: str, pictures: Path, measured: Measured) -> None:
    with cluster.namespace("cpu") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(
            namespace, image, *QUICK, GATEWAYS, "gateway.replicas=1", "worker.autoscaling.maxReplicas=3"
        )
        assert hpas_of_workers(namespace) == ["heliograph-worker"]
        with load_on(namespace, image, pictures, ["4:/classify:/load/cat.jpg"]) as load:
            up = wait_for_pods(namespace, 3, 150, component="worker")
            time.sleep(5)
            account = load.finish()
        down = wait_for_pods(namespace, 1, 150, component="worker")
        measured(f"three workers after {up:.0f} s, one again after {down:.0f} s")
        assert account["failed"] == account["dropped"] == []
        assert account["answered"] == account["sent"] > 100


def test_one_scaler_takes_over_from_the_other(cluster: Cluster, image: str) -> None:
    """From CPU to KEDA, which ends at no worker, and from there back to CPU, which never begins at none."""
    with cluster.namespace("scalers") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, GATEWAYS, "gateway.replicas=1")
        install_queue(namespace, image, *KEDA)
        wait_until("KEDA alone", lambda: hpas_of_workers(namespace) == ["keda-hpa-heliograph-worker"], 30)
        wait_until("no worker", lambda: replicas(namespace) == 0, 60)
        install_queue(namespace, image, GATEWAYS, "gateway.replicas=1")
        wait_until("CPU alone", lambda: hpas_of_workers(namespace) == ["heliograph-worker"], 30)
        wait_until(
            "a worker", lambda: namespace.ready_pods("worker"), 60
        )  # more, if its start looks like load


def hpas_of_workers(namespace: Namespace) -> list[str]:
    """The names of the autoscalers of the workers."""
    found = namespace.get("hpa")["items"]
    return [
        entry["metadata"]["name"]
        for entry in found
        if entry["spec"]["scaleTargetRef"]["name"] == "heliograph-worker"
    ]


def test_bounds_set_by_hand_survive_an_upgrade(cluster: Cluster, image: str) -> None:
    """What somebody set on the ScaledObject stays, unless the values themselves change; and so does the password."""
    with cluster.namespace("bounds") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, *KEDA)
        password = namespace.get("secret", "heliograph-valkey")["data"]["password"]
        patch = json.dumps({"spec": {"minReplicaCount": 1, "maxReplicaCount": 3}})
        namespace.kubectl("patch", "scaledobject", "heliograph-worker", "--type=merge", "-p", patch)
        install_queue(namespace, image, *KEDA, "settings.maxInFlight=32")
        spec = namespace.get("scaledobject", "heliograph-worker")["spec"]
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 3)
        assert namespace.get("secret", "heliograph-valkey")["data"]["password"] == password
        wait_for_pods(namespace, 1, component="worker")


def test_pictures_and_results_in_a_shared_folder(cluster: Cluster, image: str, pictures: Path) -> None:
    """The server keeps hardly anything of them; without the volume of the server a restart would lose the jobs."""
    with cluster.namespace("blobs") as namespace:
        for name, mode in ((VALKEY_CLAIM, "ReadWriteOnce"), ("shared", "ReadWriteMany")):
            open_volume(namespace, image, name, mode)
        blobs = ("queue.blobs.enabled=true", "queue.blobs.existingClaim=shared")
        install_queue(namespace, image, WORKERS, "worker.replicas=2", GATEWAYS, *blobs)
        with open_server(namespace).client() as client:
            before = client.info("memory")["used_memory"]
            with jobs_on(namespace, image, pictures, "cat.jpg", "--jobs", 200, "--model", "kmnist") as load:
                account = load.account(120)
            grown = client.info("memory")["used_memory"] - before
        assert account["states"]["done"] + account["states"]["failed"] + account["states"]["cancelled"] == 200
        assert grown < 200 * (pictures / "cat.jpg").stat().st_size / 2, (
            "hardly more than that there are such jobs"
        )
        assert ask(namespace, "GET", "/v1/jobs?limit=1").json()["jobs"]
        listed = namespace.kubectl("exec", "deploy/heliograph-gateway", "--", "find", "/blobs", "-type", "f")
        assert len(listed.splitlines()) >= account["states"]["done"]
