"""Mode `queue`: gateways, workers, the server between them, and who may touch it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest

from chart.rendering import Manifest, Values, merged, named, of_kind, refusal, render, values

QUEUE: Values = {"mode": "queue"}
EXTERNAL: Values = {
    "mode": "queue",
    "queue": {"url": "rediss://ann@queue.example:6380/2", "existingSecret": "s"},
}


def with_queue(**paths: object) -> Values:
    return merged(QUEUE, values(**paths))


def pod_of(component: str, given: Values = QUEUE) -> Manifest:
    kind = "StatefulSet" if component == "valkey" else "Deployment"
    template: Manifest = named(kind, f"heliograph-{component}", given)["spec"]["template"]
    return template


def container_of(component: str, given: Values = QUEUE) -> Manifest:
    found: Manifest = pod_of(component, given)["spec"]["containers"][0]
    return found


def variables_of(component: str, given: Values = QUEUE) -> dict[str, Any]:
    return {
        entry["name"]: entry.get("value", entry.get("valueFrom"))
        for entry in container_of(component, given)["env"]
    }


def settings(given: Values = QUEUE) -> dict[str, str]:
    data: dict[str, str] = named("ConfigMap", "heliograph-settings", given)["data"]
    return data


def test_a_gateway_answers_and_workers_compute() -> None:
    assert sorted(entry["metadata"]["name"] for entry in of_kind("Deployment", QUEUE)) == [
        "heliograph-gateway",
        "heliograph-worker",
    ]
    assert [container_of(component)["args"] for component in ("gateway", "worker")] == [
        ["gateway"],
        ["worker"],
    ]
    selector = named("Service", "heliograph", QUEUE)["spec"]["selector"]
    assert selector["app.kubernetes.io/component"] == "gateway"
    assert [port["name"] for port in container_of("gateway")["ports"]] == ["http", "ops"]
    assert [port["name"] for port in container_of("worker")["ports"]] == ["ops"]


def test_nothing_of_one_mode_is_in_the_other() -> None:
    components = {
        mode: {
            entry["metadata"]["labels"]["app.kubernetes.io/component"]
            for entry in render({"mode": mode})
            if "labels" in entry["metadata"]
        }
        for mode in ("direct", "queue")
    }
    assert components == {"direct": {"serve", "test"}, "queue": {"gateway", "worker", "valkey", "test"}}
    assert "HELIOGRAPH_REDIS_URL" not in named("ConfigMap", "heliograph-settings")["data"]
    assert "HELIOGRAPH_JOBS" not in settings()


def test_a_stopping_worker_has_time_for_what_is_in_its_hands() -> None:
    assert pod_of("worker")["spec"]["terminationGracePeriodSeconds"] == 20
    given = with_queue(settings__finishSeconds=45)
    assert pod_of("worker", given)["spec"]["terminationGracePeriodSeconds"] == 55
    assert settings(given)["HELIOGRAPH_FINISH_SECONDS"] == "45"
    assert pod_of("gateway")["spec"]["terminationGracePeriodSeconds"] == 5 + 60 + 30 + 8


# The server


def test_the_charts_own_server_writes_before_it_answers_and_throws_nothing_away() -> None:
    text = named("ConfigMap", "heliograph-valkey", QUEUE)["data"]["valkey.conf"]
    assert {"appendonly yes", "appendfsync always", "maxmemory 512mb", "maxmemory-policy noeviction"} <= set(
        text.splitlines()
    )
    assert settings()["HELIOGRAPH_REDIS_URL"] == "redis://heliograph-valkey:6379/0"


@pytest.mark.parametrize("most", [64, 512, 4000])
def test_its_limit_is_twice_what_it_may_use(most: int) -> None:
    given = with_queue(valkey__maxMemoryMegabytes=most, valkey__persistence__size="20Gi")
    resources = container_of("valkey", given)["resources"]
    assert resources["limits"]["memory"] == f"{2 * most + 64}Mi"
    assert resources["requests"] == {"cpu": "100m", "memory": f"{most + 64}Mi"}
    own = with_queue(valkey__resources={"limits": {"memory": "9Gi"}})
    assert container_of("valkey", own)["resources"]["limits"] == {"memory": "9Gi"}


def test_it_has_a_volume_that_outlives_its_pod() -> None:
    spec = named("StatefulSet", "heliograph-valkey", QUEUE)["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    assert {"name": "data", "mountPath": "/data"} in container_of("valkey")["volumeMounts"]
    without = with_queue(valkey__persistence__enabled=False)
    assert "volumeClaimTemplates" not in named("StatefulSet", "heliograph-valkey", without)["spec"]


def test_its_password_is_made_up_and_everybody_gets_it_from_there() -> None:
    secret = named("Secret", "heliograph-valkey", QUEUE)
    assert re.fullmatch(rb"[A-Za-z0-9]{32}", base64.b64decode(secret["data"]["password"]))
    reference = {"secretKeyRef": {"name": "heliograph-valkey", "key": "password"}}
    assert variables_of("valkey")["PASSWORD"] == reference
    for component in ("gateway", "worker"):
        assert variables_of(component)["HELIOGRAPH_REDIS_PASSWORD"] == reference


def test_a_new_password_starts_all_pods_anew() -> None:
    checksums = {
        pod_of(component)["metadata"]["annotations"]["checksum/password"]
        for component in ("gateway", "worker", "valkey")
    }
    secret = named("Secret", "heliograph-valkey", QUEUE)["data"]["password"]
    assert checksums == {hashlib.sha256(secret.encode()).hexdigest()}
    own = with_queue(queue__existingSecret="mine")
    assert "checksum/password" not in pod_of("worker", own)["metadata"]["annotations"]
    assert "checksum/password" not in pod_of("worker", EXTERNAL)["metadata"]["annotations"]


def test_a_password_of_ones_own() -> None:
    given = with_queue(queue__existingSecret="mine", queue__existingSecretKey="k")
    reference = {"secretKeyRef": {"name": "mine", "key": "k"}}
    assert of_kind("Secret", given) == []
    assert variables_of("valkey", given)["PASSWORD"] == reference
    assert variables_of("worker", given)["HELIOGRAPH_REDIS_PASSWORD"] == reference


def test_a_server_of_ones_own() -> None:
    assert of_kind("StatefulSet", EXTERNAL) == []
    assert not [entry for entry in render(EXTERNAL) if entry["metadata"]["name"].endswith("valkey")]
    assert settings(EXTERNAL)["HELIOGRAPH_REDIS_URL"] == "rediss://ann@queue.example:6380/2"
    assert variables_of("worker", EXTERNAL)["HELIOGRAPH_REDIS_PASSWORD"]["secretKeyRef"]["name"] == "s"
    open_to_all = {"mode": "queue", "queue": {"url": "redis://queue"}}
    assert "HELIOGRAPH_REDIS_PASSWORD" not in variables_of("worker", open_to_all)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@queue:6379",
        "redis://ann:s/t@queue",
        "redis://queue/0?password=secret",
        "redis://a:b@c:d@q",
    ],
)
def test_a_password_in_the_address_is_refused(url: str) -> None:
    message = refusal({"mode": "queue", "queue": {"url": url}})
    assert "queue.url holds a password" in message
    assert "queue.existingSecret" in message


@pytest.mark.parametrize("url", ["redis://queue?ssl_cert_reqs=none", "redis://ann%40x@queue", "redis://q/db"])
def test_an_address_that_not_everybody_understands_is_refused(url: str) -> None:
    assert "--set queue.url=rediss://ann@queue.example.org:6380/0" in refusal(
        {"mode": "queue", "queue": {"url": url}}
    )


def test_a_disk_on_which_the_log_cannot_be_rewritten_is_refused() -> None:
    message = refusal(with_queue(valkey__maxMemoryMegabytes=8192))
    assert "--set valkey.persistence.size=32Gi" in message
    assert refusal(with_queue(valkey__persistence__size="1Gi"))
    assert pod_of("valkey", with_queue(valkey__maxMemoryMegabytes=8192, valkey__persistence__size="32Gi"))


def test_a_new_version_of_heliograph_leaves_a_server_with_an_image_of_its_own_alone() -> None:
    labels = pod_of("valkey")["metadata"]["labels"]
    assert "app.kubernetes.io/version" not in labels
    assert named("Service", "heliograph-valkey", QUEUE)["spec"]["selector"].items() <= labels.items()
    digest = "sha256:" + "0" * 64
    pinned = with_queue(valkey__image__repository="valkey/valkey", valkey__image__digest=digest)
    assert container_of("valkey", pinned)["image"] == f"valkey/valkey@{digest}"
    numbered = with_queue(valkey__image__repository="valkey/valkey", valkey__image__tag=8)
    assert container_of("valkey", numbered)["image"] == "valkey/valkey:8"


def test_a_server_that_never_got_ready_is_replaced_once_its_values_are_mended() -> None:
    assert named("StatefulSet", "heliograph-valkey", QUEUE)["spec"]["podManagementPolicy"] == "Parallel"


def test_another_image_for_it() -> None:
    assert container_of("valkey")["image"] == container_of("worker")["image"]
    given = with_queue(valkey__image__repository="valkey/valkey")
    assert container_of("valkey", given)["image"] == "valkey/valkey:9"


# Large payloads


def test_a_shared_folder_is_mounted_in_both() -> None:
    given = with_queue(queue__blobs__enabled=True)
    claim = named("PersistentVolumeClaim", "heliograph-blobs", given)["spec"]
    assert claim == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "20Gi"}}}
    kept = named("PersistentVolumeClaim", "heliograph-blobs", given)["metadata"]["annotations"]
    assert kept == {"helm.sh/resource-policy": "keep"}, "jobs that were accepted lie there"
    assert settings(given)["HELIOGRAPH_BLOB_OWNER"] == "pictures/heliograph"
    assert settings(given)["HELIOGRAPH_BLOB_DIR"] == "/blobs"
    for component in ("gateway", "worker"):
        volumes = pod_of(component, given)["spec"]["volumes"]
        assert {"name": "blobs", "persistentVolumeClaim": {"claimName": "heliograph-blobs"}} in volumes
        assert {"name": "blobs", "mountPath": "/blobs"} in container_of(component, given)["volumeMounts"]
    own = with_queue(queue__blobs__enabled=True, queue__blobs__existingClaim="nfs")
    assert of_kind("PersistentVolumeClaim", own) == []
    assert not any(volume["name"] == "blobs" for volume in pod_of("worker")["spec"]["volumes"])


# The fleet


def rules(given: Values) -> list[Manifest]:
    found: list[Manifest] = named("Role", "heliograph-gateway", given)["rules"]
    return found


def test_gateways_alone_have_a_token_and_may_look_at_pods() -> None:
    tokens = {
        component: pod_of(component)["spec"]["automountServiceAccountToken"]
        for component in ("gateway", "worker", "valkey")
    }
    assert tokens == {"gateway": True, "worker": False, "valkey": False}
    accounts = {pod_of(component)["spec"]["serviceAccountName"] for component in ("worker", "valkey")}
    assert accounts == {"heliograph"}
    assert pod_of("gateway")["spec"]["serviceAccountName"] == "heliograph-gateway"
    (subject,) = named("RoleBinding", "heliograph-gateway", QUEUE)["subjects"]
    assert (subject["name"], subject["namespace"]) == ("heliograph-gateway", "pictures")
    assert {verb for rule in rules(QUEUE) for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert [rule["resources"] for rule in rules(QUEUE)] == [["pods"], ["horizontalpodautoscalers"]]


@pytest.mark.parametrize(
    ("scaling", "group", "resource", "scaler"),
    [
        ({}, "autoscaling", "horizontalpodautoscalers", "hpa/heliograph-worker"),
        ({"by": "keda"}, "keda.sh", "scaledobjects", "scaledobject/heliograph-worker"),
        ({"enabled": False}, "apps", "deployments", "deployment/heliograph-worker"),
    ],
)
def test_actions_are_allowed_on_pods_and_on_what_says_their_number(
    scaling: Values, group: str, resource: str, scaler: str
) -> None:
    given = with_queue(fleet__actions=True, worker__autoscaling=scaling)
    pods, number, change, eviction = rules(given)
    assert pods["verbs"] == number["verbs"] == ["get", "list", "watch"]
    assert number["apiGroups"] == change["apiGroups"] == [group]
    assert number["resources"] == [resource]
    assert change["resources"] == [resource + ("/scale" if resource == "deployments" else "")]
    assert number["resourceNames"] == change["resourceNames"] == ["heliograph-worker"]
    assert change["verbs"] == ["patch"]
    assert (eviction["resources"], eviction["verbs"]) == (["pods/eviction"], ["create"])
    told = variables_of("gateway", given)
    assert told["HELIOGRAPH_FLEET_SCALER"] == scaler
    assert told["HELIOGRAPH_FLEET_ACTIONS"] == "true"


def test_the_gateway_knows_the_workers_by_their_labels() -> None:
    told = dict(pair.split("=") for pair in variables_of("gateway")["HELIOGRAPH_FLEET_SELECTOR"].split(","))
    assert told == named("Deployment", "heliograph-worker", QUEUE)["spec"]["selector"]["matchLabels"]
    assert not any("FLEET" in name for name in variables_of("worker"))


def test_the_rights_go_to_no_account_that_others_have() -> None:
    message = refusal(with_queue(serviceAccount__create=False))
    assert "serviceAccount.gatewayName" in message
    given = with_queue(serviceAccount__create=False, serviceAccount__gatewayName="mine")
    assert named("RoleBinding", "heliograph-gateway", given)["subjects"][0]["name"] == "mine"
    assert pod_of("gateway", given)["spec"]["serviceAccountName"] == "mine"
    assert pod_of("worker", given)["spec"]["serviceAccountName"] == "default"
    assert pod_of("worker", with_queue(serviceAccount__create=False, fleet__enabled=False))


def test_without_a_fleet_nobody_has_rights() -> None:
    given = with_queue(fleet__enabled=False, fleet__actions=True)
    assert of_kind("Role", given) == of_kind("RoleBinding", given) == []
    assert pod_of("gateway", given)["spec"]["automountServiceAccountToken"] is False
    assert not any("FLEET" in name for name in variables_of("gateway", given))
    assert of_kind("Role") == [], "nor in mode direct"


# Who may connect


def policy(component: str, given: Values) -> Manifest:
    spec: Manifest = named("NetworkPolicy", f"heliograph-{component}", given)["spec"]
    return spec


def test_only_its_users_reach_the_server() -> None:
    given = with_queue(networkPolicy__enabled=True)
    (rule,) = policy("valkey", given)["ingress"]
    peers = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rule["from"]]
    assert peers == ["gateway", "worker"]
    assert "egress" not in policy("valkey", given)
    keda = merged(given, values(worker__autoscaling__by="keda"))
    (rule,) = policy("valkey", keda)["ingress"]
    assert rule["from"][-1]["podSelector"]["matchLabels"] == {"app": "keda-operator"}


def ports(component: str, given: Values) -> set[object]:
    return {port["port"] for rule in policy(component, given)["egress"] for port in rule["ports"]}


def test_gateways_and_workers_reach_what_they_need() -> None:
    given = with_queue(networkPolicy__enabled=True)
    names, api_server = {53, 5353}, {443, 6443, 8443, 16443}
    assert ports("worker", given) == names | {"valkey"}
    assert ports("gateway", given) == names | {"valkey"} | api_server
    assert ports("gateway", merged(given, values(fleet__enabled=False))) == names | {"valkey"}
    more = values(networkPolicy__extraEgress=[{"ports": [{"port": 7443}]}])
    assert ports("gateway", merged(given, more)) == names | {"valkey", 7443} | api_server
    for url, port in (
        ("rediss://ann@queue.example:6380/2", 6380),
        ("redis://10.0.0.5", 6379),
        ("redis://redis-0", 6379),
        ("redis://host2/3", 6379),
        ("redis://[::1]:7000", 7000),
    ):
        external = {"mode": "queue", "queue": {"url": url}, "networkPolicy": {"enabled": True}}
        assert ports("worker", external) == names | {port}, url
    assert [entry["ports"][0]["port"] for entry in policy("worker", given)["ingress"]] == ["ops"]


def test_metrics_of_every_role_are_read() -> None:
    given = with_queue(monitoring__serviceMonitor__enabled=True)
    selector = named("ServiceMonitor", "heliograph", given)["spec"]["selector"]["matchLabels"]
    seen = [
        service["metadata"]["name"]
        for service in of_kind("Service", given)
        if selector.items() <= service["metadata"]["labels"].items()
        and any(port["name"] == "ops" for port in service["spec"]["ports"])
    ]
    assert sorted(seen) == ["heliograph-gateway-ops", "heliograph-worker-ops"]
