"""The API server accepts what the chart renders, under Pod Security `restricted`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.kubernetes import ROOT, Cluster, Namespace
from cluster.releases import CHART

VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))


@pytest.fixture(scope="module")
def dry(cluster: Cluster) -> Iterator[Namespace]:
    with cluster.namespace("accepted") as namespace:
        yield namespace


def accepted(namespace: Namespace, manifests: str) -> str:
    """What the API server says to manifests that it would take; a warning fails."""
    words = ["-n", namespace.name, "apply", "--dry-run=server", "-f", "-"]
    result = namespace.cluster.run("kubectl", *words, stdin=manifests)
    assert "Warning" not in result.stderr, result.stderr
    return result.stdout


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_values_are_accepted(dry: Namespace, values: Path) -> None:
    rendered = dry.helm("template", "heliograph", CHART, "--values", values)
    assert re.search(r"deployment.apps/heliograph\S* created", accepted(dry, rendered))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_plain_manifests_are_accepted(dry: Namespace, manifest: Path) -> None:
    assert re.search(r"deployment.apps/heliograph\S* created", accepted(dry, manifest.read_text()))


def test_a_pod_that_breaks_the_rules_is_warned_about(dry: Namespace) -> None:
    """What the tests above rely on."""
    rendered = dry.helm("template", "heliograph", CHART, "--show-only", "templates/serve/deployment.yaml")
    loose = rendered.replace("runAsNonRoot: true", "runAsNonRoot: false")
    assert loose != rendered
    result = dry.cluster.run("kubectl", "-n", dry.name, "apply", "--dry-run=server", "-f", "-", stdin=loose)
    assert "would violate PodSecurity" in result.stderr
