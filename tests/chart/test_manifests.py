"""The plain manifests: fresh, valid, and without what only Helm understands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import manifests
from chart.rendering import Manifest, Values, render, values

FOLDER = manifests.ROOT / "manifests"
NODE_PORT: Values = values(auth__mode="off", service__type="NodePort", service__nodePort=30080)
QUEUE: Values = values(mode="queue", queue__existingSecret="heliograph-queue")
each_file = pytest.mark.parametrize("name", manifests.FILES)


def entries(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def test_they_are_fresh() -> None:
    command = [sys.executable, str(manifests.ROOT / "scripts" / "manifests.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_is_not_fresh_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(manifests, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["manifests.py", "--check"])
    assert manifests.main() == 1
    assert (
        "heliograph.yaml, heliograph-nodeport.yaml, heliograph-queue.yaml. Run `make manifests`."
        in capsys.readouterr().out
    )
    monkeypatch.setattr(sys, "argv", ["manifests.py"])
    assert manifests.main() == 0
    for name in manifests.FILES:
        assert (tmp_path / "manifests" / name).read_bytes() == (FOLDER / name).read_bytes()


@each_file
def test_kubernetes_knows_every_field(name: str) -> None:
    for entry in entries(name):
        kubernetes_validate.validate(entry, "1.36", strict=True)
        assert "namespace" not in entry["metadata"]


@pytest.mark.parametrize(
    ("name", "given"),
    [("heliograph.yaml", {}), ("heliograph-nodeport.yaml", NODE_PORT), ("heliograph-queue.yaml", QUEUE)],
    ids=str,
)
def test_they_are_the_charts_objects_less_the_test(name: str, given: Values) -> None:
    rendered = [(entry["kind"], entry["metadata"]["name"]) for entry in render(given)]
    assert [(entry["kind"], entry["metadata"]["name"]) for entry in entries(name)] == [
        named for named in rendered if named[0] != "Pod"
    ]


@each_file
def test_nothing_in_them_is_for_helm_alone(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    for words in ("helm.sh/", "managed-by", "checksum/", "replicas-by-values", "annotations:\nspec"):
        assert words not in text
