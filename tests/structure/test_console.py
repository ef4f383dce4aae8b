"""The web console: packages pinned by hash and not committed, files that stay together, no word to another host."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from checkout import ROOT, tracked
from heliograph.console import STATIC_FOLDER

LOCK = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
PACKAGES = {name: about for name, about in LOCK["packages"].items() if name}
MANIFEST = STATIC_FOLDER / "vendor" / "MANIFEST.json"
OWN = [path for path in tracked() if path.is_relative_to(STATIC_FOLDER)]
SCRIPTS = [path for path in OWN if path.suffix == ".js"]
IMPORT = re.compile(r"""(?:from|import)\s*\(?["']([^"']+)["']""")
ADDRESS = re.compile(r"""https?://(?!www\.w3\.org/)[^\s"'`<]+""")

needs_packages = pytest.mark.skipif(
    not MANIFEST.is_file(), reason="installed without an npm registry in reach"
)


def test_packages_are_pinned_by_hash_and_not_by_address() -> None:
    for name, about in PACKAGES.items():
        assert about["integrity"].startswith("sha512-"), name
        assert "resolved" not in about, name
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert PACKAGES[f"node_modules/{name}"]["version"] == version


def test_nothing_of_the_packages_is_committed() -> None:
    assert [path for path in tracked() if "node_modules" in path.parts or "vendor" in path.parts] == []


@needs_packages
def test_what_is_shipped_is_what_was_made_of_the_lock_with_its_licences() -> None:
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    for package in manifest["packages"]:
        assert PACKAGES[f"node_modules/{package['name']}"]["version"] == package["version"]
        assert f"{package['name']}.LICENSE.txt" in package["files"]
        for name, sha256 in package["files"].items():
            assert hashlib.sha256((MANIFEST.parent / name).read_bytes()).hexdigest() == sha256, name
    made = {name for package in manifest["packages"] for name in package["files"]}
    assert {path.name for path in MANIFEST.parent.iterdir()} == made | {MANIFEST.name}


@needs_packages
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_modules_import_files_that_are_there(path: Path) -> None:
    for name in IMPORT.findall(path.read_text(encoding="utf-8")):
        assert name.startswith("."), name
        assert (path.parent / name).resolve().is_file(), name


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_the_page_names_no_other_host(path: Path) -> None:
    assert ADDRESS.findall(path.read_text(encoding="utf-8")) == []


@needs_packages
def test_a_wheel_has_the_packages_and_their_licences(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, str(ROOT)], check=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    static = "heliograph/console/static"
    wanted = {
        f"{static}/{path.relative_to(STATIC_FOLDER).as_posix()}"
        for path in STATIC_FOLDER.rglob("*")
        if path.is_file() and not path.name.endswith(".d.ts")
    }
    assert {name for name in names if name.startswith(f"{static}/")} == wanted
    assert f"{static}/vendor/preact.LICENSE.txt" in wanted
