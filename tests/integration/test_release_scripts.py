"""What a release is made with, as far as it goes without a registry."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import release_notes
from heliograph import __version__

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = """# Changes

## 0.3.0 (unreleased)

Coming.

## 0.2.0 (2026-12-01)

### Added
- A thing.

## 0.1.0 (2026-11-23)

First.
"""


def test_notes_are_one_section() -> None:
    assert release_notes.notes("v0.2.0", "0.2.0", CHANGELOG) == "### Added\n- A thing.\n"
    assert release_notes.notes("v0.1.0", "0.1.0", CHANGELOG) == "First.\n"


@pytest.mark.parametrize(
    ("tag", "version", "reason"),
    [
        ("v0.2.1", "0.2.0", "The tag is v0.2.1, the version"),
        ("0.2.0", "0.2.0", "The tag is 0.2.0"),
        ("v0.3.0", "0.3.0", "put the date there"),
        ("v0.4.0", "0.4.0", "no section"),
    ],
)
def test_what_cannot_be_released(tag: str, version: str, reason: str) -> None:
    with pytest.raises(release_notes.NotReady, match=reason):
        release_notes.notes(tag, version, CHANGELOG)


def test_another_tag_than_this_version_is_refused() -> None:
    command = ["python3", "scripts/release_notes.py", f"v{__version__}.1"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert __version__ in said.stderr


@pytest.mark.parametrize("words", [[], ["registry.example.com/team"], ["", "dist"]])
def test_publish_wants_registry_and_folder(words: list[str], tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "publish"), *words]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "scripts/publish REGISTRY FOLDER" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_published_chart_names_the_published_image(tmp_path: Path) -> None:
    """The chart is packaged first; without Docker it ends there."""
    for name in ("awk", "bash", "cp", "dirname", "env", "grep", "mkdir", "mktemp", "rm", "sed"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name in ("helm", "kubectl"):
        own = Path(sys.executable).parent / name
        found = str(own) if own.is_file() else shutil.which(name)
        assert found is not None, f"{name} is missing: `make kubernetes-tools` puts it into .venv/bin"
        (tmp_path / name).symlink_to(found)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    command = [str(ROOT / "scripts" / "publish"), "registry.example.com/team", str(tmp_path / "dist")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "docker is missing" in said.stderr
    package = tmp_path / "dist" / f"heliograph-{__version__}.tgz"
    command = [str(tmp_path / "helm"), "template", "x", str(package)]
    rendered = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f'image: "registry.example.com/team/heliograph:{__version__}"' in rendered
