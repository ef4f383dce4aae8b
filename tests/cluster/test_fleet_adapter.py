"""The fleet of pods against a real API server: what it tells, what it does, what it refuses, and its outages."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.followed_fleets import (
    FollowedFleet,
    config_of,
    deployment,
    followed,
    mount_service_account,
    pod,
)
from cluster.kubernetes import Cluster, Json, Namespace, wait_until
from fault_proxy import fault_proxy
from heliograph.adapters.fleet.api_server import client_of, in_cluster
from heliograph.core import errors
from heliograph.core.fleet import FleetBounds
from heliograph.core.workers import WorkerState

API_PORT = 6443
SOON_SECONDS = 2.0
READY, STARTING, STOPPING, GONE = (
    WorkerState.READY,
    WorkerState.STARTING,
    WorkerState.STOPPING,
    WorkerState.GONE,
)
WORKER = {"app": "worker"}
OTHER = {"app": "other"}
READER = ["--verb=get,list,watch", "--resource=pods,horizontalpodautoscalers.autoscaling"]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace("fleet") as namespace:
        apply(namespace, deployment("worker", WORKER, 2), pod("bystander", OTHER))
        namespace.kubectl("wait", "deployment/worker", "--for=condition=Available", "--timeout=90s")
        yield namespace


@pytest.fixture
def fleet(namespace: Namespace) -> Iterator[FollowedFleet]:
    """The two workers, without an autoscaler."""
    with followed(namespace, WORKER, "deployment/worker") as fleet:
        wait_until("two ready workers", lambda: len(ready(fleet)) == 2, 60)
        yield fleet


def apply(namespace: Namespace, *items: Json) -> None:
    namespace.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )


def ready(fleet: FollowedFleet) -> list[str]:
    try:
        return [name for name, member in fleet.members().items() if member.state is READY]
    except errors.FleetUnavailable:
        return []


def scale(fleet: FollowedFleet, minimum: int, maximum: int) -> str:
    """Sets the bounds and looks whether they are told at once; the command that does the same."""
    bounds = FleetBounds(minimum=minimum, maximum=maximum)
    action = fleet.do(fleet.fleet.scale(bounds, who="me"))
    assert fleet.do(fleet.fleet.bounds()) == bounds
    assert (action.who, action.what, action.outcome) == ("me", f"scaled to {bounds}", "ok")
    assert fleet.do(fleet.fleet.actions())[0] == action
    return action.command


def test_workers_come_and_go_as_their_pods_do(
    namespace: Namespace, fleet: FollowedFleet, measured: Callable[[str], None]
) -> None:
    first = ready(fleet)[0]
    member = fleet.members()[first]
    assert member.host.startswith("node-")
    assert abs(member.started_at - time.time()) < 600
    namespace.kubectl("delete", "pod", first, "--wait=false")
    began = time.monotonic()
    assert fleet.sees(first, STOPPING, seconds=SOON_SECONDS).reason == "deleted"
    stopping_seconds = time.monotonic() - began
    namespace.kubectl("wait", f"pod/{first}", "--for=delete", "--timeout=60s")
    began = time.monotonic()
    assert fleet.sees(first, GONE, seconds=SOON_SECONDS).reason == "deleted"
    gone_seconds = time.monotonic() - began
    namespace.kubectl(
        "wait", "deployment/worker", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=60s"
    )
    began = time.monotonic()
    wait_until("the one in its place", lambda: len(ready(fleet)) == 2, SOON_SECONDS)
    measured(
        f"told after the cluster: stopping {stopping_seconds:.2f} s, gone {gone_seconds:.2f} s, "
        f"another one ready {time.monotonic() - began:.2f} s"
    )


def test_it_says_why_workers_do_not_start(namespace: Namespace) -> None:
    labels = {"app": "stuck"}
    large = {"requests": {"cpu": "1000", "memory": "4Mi"}}
    with followed(namespace, labels, "deployment/none") as fleet:
        apply(
            namespace,
            pod("large", labels, resources=large),
            pod("unheard-of", labels, image="localhost:5000/unheard-of:1"),
            pod("mistaken", labels, command=["/no-such-program"]),
        )
        fleet.sees("large", STARTING, reason="Unschedulable: 0/2 nodes are available")
        fleet.sees("unheard-of", STARTING, reason="ImagePullBackOff: ")
        fleet.sees("mistaken", STARTING, reason="CrashLoopBackOff (last run: StartError, exit status 128")
        assert all(len(member.reason) <= 200 for member in fleet.members().values())
        assert "There is no Deployment none in the namespace" in fleet.obstacle()


def test_one_that_is_stopped_is_evicted_once(namespace: Namespace, fleet: FollowedFleet) -> None:
    first, second = ready(fleet)
    action = fleet.do(fleet.fleet.stop(first, who="m\x1be"))
    assert (action.who, action.what, action.outcome) == ("m e", f"stopping {first}", "ok")
    assert action.command == f"kubectl --namespace {namespace.name} delete pod {first}"
    fleet.sees(first, STOPPING, reason="EvictionByEvictionAPI", seconds=SOON_SECONDS)
    assert fleet.do(fleet.fleet.stop(first, who="me")).what == f"{first} is stopping already"
    # A worker in a pod has a name of its own, which begins with the pod's.
    assert fleet.do(fleet.fleet.stop(f"{second}-0123abcd", who="me")).what == f"stopping {second}"
    fleet.sees(first, GONE, reason="EvictionByEvictionAPI")
    with pytest.raises(errors.WorkerUnknown):
        fleet.do(fleet.fleet.stop(first, who="me"))
    wait_until("two others", lambda: len(ready(fleet)) == 2, 60)


def test_a_disruption_budget_holds_workers(namespace: Namespace, fleet: FollowedFleet) -> None:
    namespace.kubectl("create", "poddisruptionbudget", "held", "--selector=app=worker", "--max-unavailable=0")
    try:
        wait_until(
            "the budget to be known",
            lambda: namespace.get("pdb", "held")["status"].get("expectedPods") == 2,
            30,
        )
        with pytest.raises(errors.FleetUnavailable, match=r"does not let it go now: .*budget") as caught:
            fleet.do(fleet.fleet.stop(ready(fleet)[0], who="me"))
        assert fleet.do(fleet.fleet.actions())[0].outcome == caught.value.message
        assert len(ready(fleet)) == 2
    finally:
        namespace.kubectl("delete", "poddisruptionbudget", "held")


@pytest.mark.parametrize(
    "name", ["bystander", "bystander-0123abcd", "nobody", "../pods/bystander", "bystander/x"]
)
def test_pods_of_others_are_left_alone(namespace: Namespace, fleet: FollowedFleet, name: str) -> None:
    assert "bystander" not in fleet.members()
    with pytest.raises(errors.WorkerUnknown, match="There is no worker named"):
        fleet.do(fleet.fleet.stop(name, who="me"))
    assert "deletionTimestamp" not in namespace.get("pod", "bystander")["metadata"]


def test_a_deployment_is_scaled(namespace: Namespace, fleet: FollowedFleet) -> None:
    assert fleet.obstacle() == ""
    command = scale(fleet, 3, 3)
    assert command == f"kubectl --namespace {namespace.name} scale deployment worker --replicas 3"
    wait_until("three workers", lambda: len(ready(fleet)) == 3, 60)
    namespace.cluster.run(*shlex.split(command), "--dry-run=server")
    with pytest.raises(errors.ParameterInvalid, match="both numbers"):
        fleet.do(fleet.fleet.scale(FleetBounds(minimum=1, maximum=3), who="me"))
    scale(fleet, 2, 2)
    wait_until("two workers", lambda: len(ready(fleet)) == 2, 60)


def test_pods_that_the_cluster_refuses_are_told_of(namespace: Namespace) -> None:
    labels = {"app": "unsafe"}
    with followed(namespace, labels, "deployment/unsafe") as fleet:
        apply(namespace, deployment("unsafe", labels, 1, securityContext={"privileged": True}))
        told = fleet.hears("The cluster does not start all workers: FailedCreate: ")
        assert "violates PodSecurity" in told


def test_an_autoscaler_is_set_and_its_blindness_is_told(namespace: Namespace) -> None:
    labels = {"app": "scaled"}
    blind = {"requests": {"memory": "4Mi"}}
    with followed(namespace, labels, "hpa/scaled") as fleet:
        fleet.hears("There is no HorizontalPodAutoscaler scaled")
        with pytest.raises(errors.FleetUnavailable, match="There is no HorizontalPodAutoscaler scaled"):
            scale(fleet, 1, 2)
        apply(namespace, deployment("scaled", labels, 1, resources=blind))
        namespace.kubectl("autoscale", "deployment", "scaled", "--min=1", "--max=3", "--cpu=50%")
        told = fleet.hears("The autoscaler does not see the load: FailedGetResourceMetric: ")
        assert told.endswith(".")
        assert fleet.do(fleet.fleet.bounds()) == FleetBounds(minimum=1, maximum=3)
        command = scale(fleet, 2, 4)
        namespace.cluster.run(*shlex.split(command), "--dry-run=server")
        spec = namespace.get("hpa", "scaled")["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
        wait_until("two workers", lambda: len(ready(fleet)) == 2, 60)
        with pytest.raises(errors.ParameterInvalid, match="KEDA"):
            fleet.do(fleet.fleet.scale(FleetBounds(minimum=0, maximum=3), who="me"))


def test_keda_is_set(namespace: Namespace) -> None:
    labels = {"app": "keda"}
    nights = {"timezone": "UTC", "start": "0 0 * * *", "end": "1 0 * * *", "desiredReplicas": "1"}
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "keda"},
        "spec": {
            "scaleTargetRef": {"name": "keda"},
            "minReplicaCount": 0,
            "maxReplicaCount": 2,
            "triggers": [{"type": "cron", "metadata": nights}],
        },
    }
    nowhere = {"address": "nowhere.default:6379", "stream": "s", "consumerGroup": "g", "lagCount": "5"}
    blind = {"triggers": [{"type": "redis-streams", "metadata": nowhere}]}
    with followed(namespace, labels, "scaledobject/keda") as fleet:
        apply(namespace, deployment("keda", labels, 0))
        fleet.hears("There is no ScaledObject keda")
        apply(namespace, scaled)
        wait_until("the bounds", lambda: fleet.do(fleet.fleet.bounds()) is not None, SOON_SECONDS)
        command = scale(fleet, 1, 3)
        namespace.cluster.run(*shlex.split(command), "--dry-run=server")
        wait_until("one worker", lambda: len(ready(fleet)) == 1, 60)
        scale(fleet, 0, 1)
        namespace.kubectl("annotate", "scaledobject", "keda", "autoscaling.keda.sh/paused-replicas=0")
        fleet.hears("paused by the annotation autoscaling.keda.sh/paused-replicas")
        with pytest.raises(errors.ParameterInvalid):
            fleet.do(fleet.fleet.scale(FleetBounds(minimum=0, maximum=0), who="me"))
        namespace.kubectl("annotate", "scaledobject", "keda", "autoscaling.keda.sh/paused-replicas-")
        namespace.kubectl("patch", "scaledobject", "keda", "--type=merge", "-p", json.dumps({"spec": blind}))
        assert "redis" in fleet.hears("KEDA does not see the load: ScaledObjectCheckFailed: ")


def test_a_service_account_needs_a_token_and_rights(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace.kubectl("create", "serviceaccount", "weak")
    host, _, port = mount_service_account(tmp_path, namespace, "stale").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    client, found = in_cluster(tmp_path)
    assert found == namespace.name
    with followed(namespace, WORKER, "hpa/scaled", client=client) as fleet:
        fleet.hears("Unauthorized")
        tmp_path.joinpath("token").write_text(namespace.kubectl("create", "token", "weak"))
        fleet.hears("cannot list resource")
        with pytest.raises(errors.FleetUnavailable, match="cannot list resource"):
            fleet.members()
        namespace.kubectl("create", "role", "reader", *READER)
        namespace.kubectl(
            "create", "rolebinding", "weak", "--role=reader", f"--serviceaccount={namespace.name}:weak"
        )
        wait_until("its workers", lambda: len(ready(fleet)) == 2, 30)
        with pytest.raises(errors.FleetUnavailable, match="service account may not stop a worker"):
            fleet.do(fleet.fleet.stop(ready(fleet)[0], who="me"))
        with pytest.raises(errors.FleetUnavailable, match="service account may not set"):
            fleet.do(fleet.fleet.scale(FleetBounds(minimum=1, maximum=2), who="me"))
        assert [action.outcome == "ok" for action in fleet.do(fleet.fleet.actions())] == [False, False]


def test_it_lives_through_outages_of_the_api_server(
    namespace: Namespace, measured: Callable[[str], None]
) -> None:
    with fault_proxy(API_PORT) as proxy:
        client = client_of(config_of(namespace.cluster, f"https://127.0.0.1:{proxy.port}"))
        with followed(namespace, WORKER, "deployment/worker", client=client) as fleet:
            wait_until("two workers", lambda: len(ready(fleet)) == 2, 60)
            proxy.cut()
            first = ready(fleet)[0]  # a short break takes no worker off the list
            namespace.kubectl("delete", "pod", first, "--wait=false")
            fleet.sees(first, STOPPING, seconds=5)
            proxy.refuse()
            assert fleet.members()
            began = time.monotonic()
            with pytest.raises(errors.FleetUnavailable, match="ConnectError"):
                wait_until("no workers", lambda: not fleet.members(), 20)
            unavailable_seconds = time.monotonic() - began
            assert "does not tell how many workers there may be" in fleet.obstacle()
            with pytest.raises(errors.FleetUnavailable):
                fleet.do(fleet.fleet.stop(first, who="me"))
            proxy.heal()
            back_seconds = wait_until("two workers again", lambda: len(ready(fleet)) == 2, 20)
            proxy.hold()
            held_seconds = wait_until("the silence to be noticed", lambda: not ready(fleet), 40)
            proxy.heal()
            wait_until("two workers once more", lambda: len(ready(fleet)) == 2, 20)
    measured(
        f"unavailable {unavailable_seconds:.1f} s after the server was away, known again after {back_seconds:.1f} s, "
        f"unavailable {held_seconds:.1f} s after it fell silent"
    )
