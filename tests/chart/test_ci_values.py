"""The examples in ci/: linted, valid for Kubernetes, within Pod Security `restricted`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from chart.rendering import CI_FILES, Manifest, Refused, lint, read_values, render

KUBERNETES_VERSIONS = ("1.27", "1.36", "1.37")
"""The oldest that Chart.yaml allows, and those that the chart is tried on."""

NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
CUSTOM = {
    "ServiceMonitor": {
        "required": ["selector", "endpoints"],
        "additionalProperties": False,
        "properties": {
            "selector": {"required": ["matchLabels"]},
            "endpoints": {
                "minItems": 1,
                "items": {
                    "required": ["port", "path", "interval"],
                    "additionalProperties": False,
                    "properties": {
                        "port": {"const": "ops"},
                        "path": {"const": "/metrics"},
                        "interval": {"type": "string", "pattern": r"^\d+s$"},
                    },
                },
            },
        },
    },
    "ScaledObject": {
        "required": ["scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {"required": ["apiVersion", "kind", "name"]},
            "minReplicaCount": {"type": "integer", "minimum": 0},
            "maxReplicaCount": {"type": "integer", "minimum": 1},
            "pollingInterval": {"type": "integer", "minimum": 1},
            "cooldownPeriod": {"type": "integer", "minimum": 0},
            "advanced": {
                "additionalProperties": False,
                "properties": {"horizontalPodAutoscalerConfig": {"required": ["behavior"]}},
            },
            "triggers": {
                "minItems": 4,
                "items": {
                    "required": ["type", "name", "metadata"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "redis-streams"},
                        "name": NAME,
                        "metadata": {
                            "required": ["address", "stream", "consumerGroup", "activationLagCount"],
                            "additionalProperties": {"type": "string"},
                        },
                        "authenticationRef": {"required": ["name"], "properties": {"name": NAME}},
                    },
                },
            },
        },
    },
    "TriggerAuthentication": {
        "required": ["secretTargetRef"],
        "additionalProperties": False,
        "properties": {"secretTargetRef": {"items": {"required": ["parameter", "name", "key"]}}},
    },
    "HTTPRoute": {
        "required": ["parentRefs", "rules"],
        "additionalProperties": False,
        "properties": {
            "parentRefs": {"minItems": 1, "items": {"required": ["name"], "properties": {"name": NAME}}},
            "hostnames": {"items": NAME},
            "rules": {
                "minItems": 1,
                "items": {
                    "required": ["backendRefs", "matches"],
                    "additionalProperties": False,
                    "properties": {
                        "matches": {"minItems": 1},
                        "backendRefs": {
                            "items": {
                                "required": ["name", "port"],
                                "properties": {"name": NAME, "port": {"type": "integer"}},
                            }
                        },
                    },
                },
            },
        },
    },
}
"""The specs of kinds that Kubernetes itself does not know, as far as the chart writes them."""

each_file = pytest.mark.parametrize("path", CI_FILES, ids=lambda path: path.stem)


def pod_specs(path: Path) -> Iterator[Manifest]:
    """The pods that a file makes: those of the service and the one of `helm test`."""
    for entry in render(read_values(path)):
        if entry["kind"] in ("Deployment", "StatefulSet"):
            yield entry["spec"]["template"]["spec"]
        elif entry["kind"] == "Pod":
            yield entry["spec"]


@each_file
def test_lint_finds_nothing(path: Path) -> None:
    assert "0 chart(s) failed" in lint(path)


def test_lint_would_find_something(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong-values.yaml"
    wrong.write_text("serve: {repliccas: 3}")
    with pytest.raises(Refused, match="repliccas"):
        lint(wrong)


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@each_file
def test_kubernetes_knows_every_field(path: Path, version: str) -> None:
    for entry in render(read_values(path)):
        if entry["kind"] in CUSTOM:
            jsonschema.validate(entry["spec"], CUSTOM[entry["kind"]])
        else:
            kubernetes_validate.validate(entry, version, strict=True)


@each_file
def test_pods_fulfil_the_restricted_standard(path: Path) -> None:
    allowed = {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
    for spec in pod_specs(path):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        if spec["containers"][0].get("args") != ["gateway"]:
            assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= allowed


@each_file
def test_each_file_says_what_it_shows(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")


@each_file
def test_objects_have_the_recommended_labels(path: Path) -> None:
    wanted = {"name", "instance", "version", "component", "part-of", "managed-by"}
    for entry in render(read_values(path)):
        labels = entry["metadata"].get("labels")
        if labels is not None:  # extraObjects are as their author wrote them
            assert {f"app.kubernetes.io/{word}" for word in wanted} <= set(labels), entry["kind"]
        assert "namespace" not in entry["metadata"]


@each_file
def test_names_are_unique_within_a_kind(path: Path) -> None:
    named = [(entry["kind"], entry["metadata"]["name"]) for entry in render(read_values(path))]
    assert len(named) == len(set(named))
