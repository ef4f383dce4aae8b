"""The values: one source, complete, closed against typing errors, none of them without effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from chart.rendering import CHART, Manifest, Refused, Values, merged, put, read_values, refusal, text
from chart_values import camel_case, read_source
from heliograph import __version__
from heliograph.settings import Settings

SOURCE = read_source()
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
EVERYTHING = read_values(CHART / "ci" / "everything-values.yaml")
EVERYTHING_OF_A_QUEUE = read_values(CHART / "ci" / "everything-queue-values.yaml")


def objects_in(node: Manifest, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Manifest]]:
    """Every object of ours in the schema, with its path."""
    if "properties" in node and not node.get("x-kubernetes"):
        yield path, node
        for name, child in node["properties"].items():
            yield from objects_in(child, (*path, name))


def leaves(node: Manifest, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Manifest]]:
    """Every value of its own, with its path."""
    for name, child in node["properties"].items():
        if "properties" in child and "default" not in child:
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


OBJECTS = dict(objects_in(SOURCE))
LEAVES = {".".join(path): node for path, node in leaves(SOURCE)}


def valid(given: Values) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(merged(DEFAULTS, given)))


def test_the_defaults_fit_the_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert valid({})


def test_versions_are_those_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


@pytest.mark.parametrize("path", OBJECTS, ids=".".join)
def test_every_value_is_described_and_typed(path: tuple[str, ...]) -> None:
    for name, node in OBJECTS[path]["properties"].items():
        assert node.get("description", "").endswith((".", "`")), name
        assert "type" in node or "enum" in node, name


@pytest.mark.parametrize("path", OBJECTS, ids=".".join)
def test_typing_errors_are_refused_on_every_level(path: tuple[str, ...]) -> None:
    wrong: dict[str, Any] = {}
    put(wrong, [*path, "repliccas"], 1)
    assert not valid(wrong)


@pytest.mark.parametrize("path", [path for path in LEAVES if LEAVES[path].get("default") is not None])
def test_nothing_goes_missing_by_null(path: str) -> None:
    parent: Any = DEFAULTS
    without = parent = json.loads(json.dumps(DEFAULTS))
    *folders, last = path.split(".")
    for name in folders:
        parent = parent[name]
    del parent[last]
    assert not jsonschema.Draft7Validator(SCHEMA).is_valid(without)


def test_helm_itself_refuses_typing_errors() -> None:
    assert "additional properties 'repliccas' not allowed" in refusal({"serve": {"repliccas": 3}})
    assert "additional properties 'maxInFligth' not allowed" in refusal({"settings": {"maxInFligth": 3}})
    assert "at '/settings/maxInFlight': minimum: got 0, want 1" in refusal({"settings": {"maxInFlight": 0}})
    assert "missing property 'replicas'" in refusal({"serve": {"replicas": None}})


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"service": {"nodePort": 30080}}, False),
        ({"service": {"nodePort": 30080, "type": "NodePort"}}, True),
        ({"service": {"nodePort": 30080, "type": "LoadBalancer"}}, True),
        ({"service": {"externalTrafficPolicy": "Local"}}, False),
        ({"service": {"loadBalancerClass": "a/b", "type": "NodePort"}}, False),
        ({"service": {"loadBalancerSourceRanges": ["10.0.0.0/8"], "type": "LoadBalancer"}}, True),
        ({"serve": {"podDisruptionBudget": {"maxUnavailable": "25%"}}}, True),
        ({"serve": {"podDisruptionBudget": {"maxUnavailable": "25"}}}, False),
        ({"serve": {"podDisruptionBudget": {"maxUnavailable": 0}}}, False),
        ({"serve": {"resources": {"requests": {"cpu": 2}}}}, True),
        ({"serve": {"resources": {"requests": {"cpu": True}}}}, False),
        ({"auth": {"mode": False}}, True),
        ({"auth": {"mode": True}}, False),
        ({"auth": {"keys": ["laptop predict " + "0" * 64]}}, True),
        ({"auth": {"keys": ["laptop predict " + "0" * 63]}}, False),
        ({"auth": {"keys": ["hg_the-key-itself"]}}, False),
        ({"image": {"digest": "sha256:" + "0" * 64}}, True),
        ({"image": {"digest": "0" * 64}}, False),
        ({"models": {"serve": []}}, False),
        ({"ingress": {"hosts": [{"hots": "a"}]}}, False),
        ({"mode": "queue"}, True),
        ({"mode": "kafka"}, False),
        ({"queue": {"url": "redis://queue:6379"}}, True),
        ({"queue": {"url": "queue:6379"}}, False),
        ({"worker": {"autoscaling": {"minReplicas": 0}}}, True),
        ({"gateway": {"autoscaling": {"minReplicas": 0}}}, False),
        ({"gateway": {"autoscaling": {"by": "keda"}}}, False),
        ({"valkey": {"maxMemoryMegabytes": 16}}, False),
        ({"fullnameOverride": "Pictures"}, False),
    ],
    ids=json.dumps,
)
def test_values_that_depend_on_each_other(given: Values, fits: bool) -> None:
    assert valid(given) is fits


def test_every_setting_of_the_program_is_a_value_or_the_charts_own() -> None:
    settings = SOURCE["properties"]["settings"]
    values = set(settings["properties"])
    taken = set(settings["x-settings"])
    assert values | taken == {camel_case(name) for name in Settings.model_fields}
    assert not values & taken
    for name, field in Settings.model_fields.items():
        if camel_case(name) in values:
            node = settings["properties"][camel_case(name)]
            assert node["description"] == field.description or "default" in node or name == "model_dir"


CHANGED: dict[str, Any] = {
    "nameOverride": "photos",
    "fullnameOverride": "photos",
    "commonLabels": {"a/b": "c"},
    "image.repository": "other",
    "image.tag": "7",
    "image.digest": "sha256:" + "7" * 64,
    "image.pullPolicy": "Never",
    "image.pullSecrets": [{"name": "other"}],
    "auth.mode": "off",
    "auth.keys": ["laptop predict " + "7" * 64],
    "auth.existingSecret": "other",
    "auth.existingSecretKey": "other",
    "models.serve": ["kmnist"],
    "models.volume": {"emptyDir": {}},
    "serve.replicas": 7,
    "serve.autoscaling.enabled": False,
    "serve.autoscaling.minReplicas": 3,
    "serve.autoscaling.maxReplicas": 7,
    "serve.autoscaling.targetCPUUtilizationPercentage": 7,
    "serve.autoscaling.behavior": {"scaleDown": {"stabilizationWindowSeconds": 7}},
    "serve.resources": {"requests": {"cpu": 7}},
    "serve.podDisruptionBudget.enabled": False,
    "serve.podDisruptionBudget.maxUnavailable": 7,
    "serve.topologySpread.enabled": False,
    "serve.nodeFailureSeconds": 7,
    "serve.probes.startup": {"failureThreshold": 7},
    "serve.probes.readiness": {"failureThreshold": 7},
    "serve.probes.liveness": {"failureThreshold": 7},
    "serve.updateStrategy": {"rollingUpdate": {"maxSurge": 7}},
    "serve.tmpSizeLimit": "7Mi",
    "serve.podSecurityContext": {"runAsUser": 7},
    "serve.securityContext": {"runAsUser": 7},
    "serve.annotations": {"a/b": "c"},
    "serve.podAnnotations": {"a/b": "c"},
    "serve.podLabels": {"a/b": "c"},
    "serve.nodeSelector": {"a/b": "c"},
    "serve.tolerations": [],
    "serve.affinity": {"podAffinity": {}},
    "serve.priorityClassName": "other",
    "serve.extraEnv": [],
    "serve.extraEnvFrom": [],
    "serve.extraVolumes": [],
    "serve.extraVolumeMounts": [],
    "serve.initContainers": [],
    "serve.extraContainers": [],
    "service.type": "LoadBalancer",
    "service.port": 7,
    "service.nodePort": 30007,
    "service.annotations": {"a/b": "c"},
    "service.externalTrafficPolicy": "Local",
    "service.loadBalancerClass": "a/b",
    "service.loadBalancerSourceRanges": ["10.0.0.0/8"],
    "ingress.enabled": False,
    "ingress.className": "other",
    "ingress.annotations": {"a/b": "c"},
    "ingress.hosts": [{"host": "other"}],
    "ingress.tls": [],
    "httpRoute.enabled": False,
    "httpRoute.parentRefs": [{"name": "other"}],
    "httpRoute.hostnames": ["other"],
    "httpRoute.annotations": {"a/b": "c"},
    "networkPolicy.enabled": False,
    "networkPolicy.from": [],
    "networkPolicy.monitoringFrom": [],
    "monitoring.serviceMonitor.enabled": False,
    "monitoring.serviceMonitor.interval": "7s",
    "monitoring.serviceMonitor.labels": {"a/b": "c"},
    "serviceAccount.create": False,
    "serviceAccount.name": "other",
    "serviceAccount.annotations": {"a/b": "c"},
    "extraObjects": [],
}
"""Another value for each, seen against `ci/everything-values.yaml`."""

PODS = {path.partition(".")[2]: value for path, value in CHANGED.items() if path.startswith("serve.")}
OF_A_QUEUE: dict[str, Any] = {
    "mode": "direct",
    **{f"{component}.{name}": value for component in ("gateway", "worker") for name, value in PODS.items()},
    "worker.autoscaling.by": "cpu",
    "worker.autoscaling.jobsPerWorker": 7,
    "worker.autoscaling.pollingSeconds": 7,
    "worker.autoscaling.cooldownSeconds": 7,
    "queue.url": "redis://other",
    "queue.existingSecret": "other",
    "queue.existingSecretKey": "other",
    "queue.blobs.enabled": False,
    "queue.blobs.existingClaim": "other",
    "queue.blobs.size": "7Gi",
    "queue.blobs.storageClass": "other",
    "valkey.image.repository": "other",
    "valkey.image.tag": "7",
    "valkey.image.digest": "sha256:" + "7" * 64,
    "valkey.maxMemoryMegabytes": 77,
    "networkPolicy.extraEgress": [{"ports": [{"port": 7}]}],
    "serviceAccount.gatewayName": "other",
    "valkey.appendfsync": "everysec",
    "valkey.persistence.enabled": False,
    "valkey.persistence.size": "7Gi",
    "valkey.persistence.storageClass": "other",
    "valkey.resources": {"requests": {"cpu": 7}},
    "valkey.nodeFailureSeconds": 7,
    "valkey.podSecurityContext": {"runAsUser": 7},
    "valkey.securityContext": {"runAsUser": 7},
    "valkey.podAnnotations": {"a/b": "c"},
    "valkey.podLabels": {"a/b": "c"},
    "valkey.nodeSelector": {"a/b": "c"},
    "valkey.tolerations": [],
    "valkey.affinity": {"podAffinity": {}},
    "valkey.priorityClassName": "other",
    "fleet.enabled": False,
    "fleet.actions": False,
}
"""The same against `ci/everything-queue-values.yaml`."""

NEEDS: dict[str, Values] = {
    "auth.mode": {"auth": {"existingSecret": ""}},
    "auth.keys": {"auth": {"existingSecret": "", "keys": ["desktop predict " + "6" * 64]}},
    "image.tag": {"image": {"digest": ""}},
    **{
        f"{component}.replicas": {component: {"autoscaling": {"enabled": False}}}
        for component in ("serve", "gateway", "worker")
    },
    "worker.autoscaling.targetCPUUtilizationPercentage": {
        "worker": {"autoscaling": {"by": "cpu", "minReplicas": 1}}
    },
    "service.loadBalancerClass": {"service": {"type": "LoadBalancer"}},
    "service.loadBalancerSourceRanges": {"service": {"type": "LoadBalancer"}},
}
"""What else must be so that a value has a meaning."""


def test_the_table_of_changes_is_complete() -> None:
    choices = {path for path, node in LEAVES.items() if len(node.get("enum", ())) != 1}
    wanted = {path for path in choices if not path.startswith("settings.")}
    assert wanted == set(CHANGED) | set(OF_A_QUEUE)
    assert not set(CHANGED) & set(OF_A_QUEUE)


@pytest.mark.parametrize("path", [*CHANGED, *OF_A_QUEUE])
def test_no_value_is_without_effect(path: str) -> None:
    changed: dict[str, Any] = {}
    everything = EVERYTHING if path in CHANGED else EVERYTHING_OF_A_QUEUE
    put(changed, path.split("."), {**CHANGED, **OF_A_QUEUE}[path])
    before = merged(everything, NEEDS.get(path, {}))
    assert outcome(merged(before, changed)) != outcome(before)


def outcome(given: Values) -> str:
    """The objects, or the refusal: `auth.mode` makes one or the other."""
    try:
        return text(given)
    except Refused as refused:
        return str(refused)
