"""How many gateways and workers there are with a queue, and who decides it: one and only one."""

from __future__ import annotations

from pathlib import Path

import pytest

from chart.rendering import (
    CI_FILES,
    Manifest,
    Refused,
    Values,
    merged,
    named,
    of_kind,
    read_values,
    refusal,
    render,
    text_on,
    values,
)
from heliograph.adapters.queue.keys import CONSUMER_GROUP, Keys
from heliograph.core.jobs import Priority

QUEUE: Values = {"mode": "queue"}
KEDA: Values = merged(QUEUE, values(worker__autoscaling__by="keda", worker__autoscaling__minReplicas=0))


def scaled_object(given: Values = KEDA) -> Manifest:
    spec: Manifest = named("ScaledObject", "heliograph-worker", given)["spec"]
    return spec


def metadata(given: Values = KEDA) -> list[dict[str, str]]:
    return [trigger["metadata"] for trigger in scaled_object(given)["triggers"]]


@pytest.mark.parametrize("path", CI_FILES, ids=lambda path: path.stem)
def test_no_deployment_has_two_scalers(path: Path) -> None:
    objects = render(read_values(path))
    targets = [
        entry["spec"]["scaleTargetRef"]["name"]
        for entry in objects
        if entry["kind"] in ("HorizontalPodAutoscaler", "ScaledObject")
    ]
    assert len(targets) == len(set(targets))
    deployments = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == "Deployment"}
    for target in targets:
        assert "replicas" not in deployments[target]["spec"]


def test_both_follow_their_cpu_by_default() -> None:
    bounds = {
        entry["metadata"]["name"]: (entry["spec"]["minReplicas"], entry["spec"]["maxReplicas"])
        for entry in of_kind("HorizontalPodAutoscaler", QUEUE)
    }
    assert bounds == {"heliograph-gateway": (2, 4), "heliograph-worker": (1, 6)}
    assert of_kind("ScaledObject", QUEUE) == []


def test_one_scaler_may_take_over_from_the_other_in_an_upgrade() -> None:
    """KEDA's webhook refuses its object while another autoscaler has the Deployment, unless that one says otherwise."""
    workers = named("HorizontalPodAutoscaler", "heliograph-worker", QUEUE)["metadata"]["annotations"]
    assert workers["validations.keda.sh/hpa-ownership"] == "false"


def test_keda_scales_workers_alone() -> None:
    (hpa,) = of_kind("HorizontalPodAutoscaler", KEDA)
    assert hpa["metadata"]["name"] == "heliograph-gateway"
    spec = scaled_object()
    assert spec["scaleTargetRef"]["name"] == "heliograph-worker"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 6)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (5, 120)
    one = scaled_object(merged(KEDA, values(worker__autoscaling__minReplicas=1)))
    assert not {"pollingInterval", "cooldownPeriod"} & set(one), "KEDA warns of what it does not use"
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]


def test_it_looks_at_what_waits_and_at_what_runs_of_both_streams() -> None:
    keys = Keys("default")
    looks = {
        (entry["stream"], kind)
        for entry in metadata()
        for kind in ("lagCount", "pendingEntriesCount")
        if kind in entry
    }
    assert looks == {
        (keys.stream(priority), kind) for priority in Priority for kind in ("lagCount", "pendingEntriesCount")
    }
    for entry in metadata():
        assert len({"lagCount", "pendingEntriesCount"} & set(entry)) == 1, "the lag would win over the rest"
        assert entry["consumerGroup"] == CONSUMER_GROUP
        assert entry["activationLagCount"] == "0", "one job wakes a worker"
    other = merged(KEDA, values(settings__queue="photos", worker__autoscaling__jobsPerWorker=7))
    assert {entry["stream"] for entry in metadata(other)} == {
        Keys("photos").stream(each) for each in Priority
    }
    assert {entry.get("lagCount", entry.get("pendingEntriesCount")) for entry in metadata(other)} == {"7"}


def test_it_finds_the_server_from_its_own_namespace_with_the_password() -> None:
    assert {entry["address"] for entry in metadata()} == {"heliograph-valkey.pictures.svc:6379"}
    (reference,) = named("TriggerAuthentication", "heliograph-worker", KEDA)["spec"]["secretTargetRef"]
    assert reference == {"parameter": "password", "name": "heliograph-valkey", "key": "password"}
    assert all(
        trigger["authenticationRef"] == {"name": "heliograph-worker"}
        for trigger in scaled_object()["triggers"]
    )


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://queue.example", ("queue.example:6379", "0", "false", None)),
        ("rediss://ann@queue.example:6380/2", ("queue.example:6380", "2", "true", "ann")),
    ],
)
def test_it_finds_a_server_of_ones_own(url: str, place: tuple[str, ...]) -> None:
    given = merged(KEDA, values(queue__url=url))
    names = ("address", "databaseIndex", "enableTLS", "username")
    assert {tuple(entry.get(name) for name in names) for entry in metadata(given)} == {place}
    assert of_kind("TriggerAuthentication", given) == []
    assert not any("authenticationRef" in trigger for trigger in scaled_object(given)["triggers"])


def test_cpu_cannot_scale_from_nothing() -> None:
    message = refusal(merged(QUEUE, values(worker__autoscaling__minReplicas=0)))
    assert "worker.autoscaling.by=keda" in message
    assert "worker.autoscaling.minReplicas=1" in message


def test_a_cluster_without_keda_is_told_before_anything_is_made() -> None:
    every_cluster, keda = "apiregistration.k8s.io/v1", "keda.sh/v1alpha1/ScaledObject"
    with pytest.raises(Refused, match="KEDA is not installed in this cluster") as refused:
        text_on(KEDA, every_cluster)
    assert "--set worker.autoscaling.by=cpu,worker.autoscaling.minReplicas=1" in str(refused.value)
    assert "kind: ScaledObject" in text_on(KEDA, every_cluster, keda)
    assert "kind: ScaledObject" in text_on(KEDA), "whoever only renders is not asked"
    assert text_on(QUEUE, every_cluster)


def test_fewest_above_most_is_refused_for_each() -> None:
    for component in ("gateway", "worker"):
        given: Values = {"mode": "queue", component: {"autoscaling": {"minReplicas": 9}}}
        assert f"{component}.autoscaling.minReplicas (9) is above" in refusal(given)


def test_fixed_numbers() -> None:
    given = merged(QUEUE, values(worker__autoscaling__enabled=False, worker__replicas=5))
    assert named("Deployment", "heliograph-worker", given)["spec"]["replicas"] == 5
    (hpa,) = of_kind("HorizontalPodAutoscaler", given)
    assert hpa["metadata"]["name"] == "heliograph-gateway"
