"""When it does not start, what is shown leads to the cause, and the documentation knows the words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.kubernetes import ROOT, Cluster, Namespace, wait_until
from cluster.releases import FIXED, install

GUIDE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
TROUBLE = GUIDE[GUIDE.index("## When it does not start") :]


@pytest.fixture
def trouble(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace("trouble") as namespace:
        yield namespace


def failed_deploy(namespace: Namespace, checkout: Path, image: str, *values: str) -> str:
    """What ``scripts/deploy`` says when the service does not get ready."""
    words = [word for value in values for word in ("--set", value)]
    command = [checkout / "scripts" / "deploy", "--namespace", namespace.name, "--no-build", "--image", image]
    result: subprocess.CompletedProcess[str] = namespace.cluster.run(
        *command, "--timeout", "30s", *words, check=False, folder=checkout, seconds=200
    )
    assert result.returncode != 0
    return result.stdout + result.stderr


def events(namespace: Namespace) -> str:
    """What ``kubectl get events`` prints."""
    return namespace.kubectl("get", "events")


def test_image_missing(trouble: Namespace, checkout: Path) -> None:
    said = failed_deploy(trouble, checkout, "heliograph:does-not-exist")
    for word in ("ErrImagePull", "ImagePullBackOff"):
        if word in said:
            break
    else:
        pytest.fail(said)
    assert "heliograph:does-not-exist" in said
    assert "docs/kubernetes.md" in said
    assert "Failed to pull image" in events(trouble)
    assert "ImagePullBackOff" in TROUBLE


def test_quota_exceeded(trouble: Namespace, checkout: Path, image: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"requests.cpu": "200m"}},
    }
    trouble.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    said = failed_deploy(trouble, checkout, image)
    assert "exceeded quota: small" in said
    assert "exceeded quota" in events(trouble)
    assert "exceeded quota" in TROUBLE


def test_memory_limit_too_small(trouble: Namespace, checkout: Path, image: str) -> None:
    small = ("serve.resources.requests.memory=48Mi", "serve.resources.limits.memory=48Mi")
    said = failed_deploy(trouble, checkout, image, *small, "serve.resources.requests.cpu=50m")
    assert "OOMKilled" in said
    assert "OOMKilled" in TROUBLE


def test_no_room_on_any_node(trouble: Namespace, checkout: Path, image: str) -> None:
    said = failed_deploy(trouble, checkout, image, "serve.resources.requests.cpu=64")
    assert "Insufficient cpu" in said
    assert "Insufficient cpu" in TROUBLE


def test_exposed_without_keys_is_refused_before_anything_is_made(
    trouble: Namespace, checkout: Path, image: str
) -> None:
    said = failed_deploy(trouble, checkout, image, "service.type=LoadBalancer")
    assert "auth.mode=off" in said
    assert not trouble.kubectl("get", "deployments", "-o", "name").strip()


def test_a_failed_release_is_mended_by_the_next_upgrade(
    trouble: Namespace, image: str, checkout: Path
) -> None:
    """And `helm status` prints the commands that show the cause meanwhile."""
    failed_deploy(trouble, checkout, "heliograph:does-not-exist")
    status = trouble.helm("status", "heliograph")
    commands = [line.strip() for line in status.splitlines() if line.strip().startswith("kubectl ")]
    shown = next(line for line in commands if "get events" in line)
    assert "does-not-exist" in trouble.cluster.run("sh", "-c", shown).stdout
    install(trouble, image, *FIXED)
    wait_until("ready pods", lambda: len(trouble.ready_pods()) == 2, 60)
