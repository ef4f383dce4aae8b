"""A description that is written can be read, and says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from heliograph.adapters.models.catalogue import Catalogue, Package, shipped_folder
from heliograph.adapters.models.manifest import read_package
from heliograph.adapters.models.manifest_text import LABELS, manifest_text


@pytest.mark.parametrize(
    "package", Catalogue(shipped_folder()).packages(), ids=lambda package: str(package.spec.name)
)
def test_what_ships_survives(package: Package, tmp_path: Path) -> None:
    spec = replace(package.spec, card="", title='a "title" \\ with ünusual ☃')
    folder = tmp_path / spec.name
    folder.mkdir()
    (folder / "model.toml").write_text(manifest_text(spec), encoding="utf-8")
    if spec.labels:
        (folder / LABELS).write_text("\n".join(spec.labels) + "\n", encoding="utf-8")
    assert read_package(folder) == spec


def test_a_homepage_need_not_be(tmp_path: Path) -> None:
    spec = replace(Catalogue(shipped_folder()).resolve("u2netp")[0].spec, homepage="", card="")
    (tmp_path / "u2netp").mkdir()
    (tmp_path / "u2netp" / "model.toml").write_text(manifest_text(spec), encoding="utf-8")
    assert read_package(tmp_path / "u2netp").homepage == ""
