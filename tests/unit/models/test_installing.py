"""Packages come into the store whole or not at all, and none is lost on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.adapters.models import installing
from heliograph.core import errors


def package(folder: Path, text: str) -> Path:
    """One of no more than a name and a text."""
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "model.toml").write_text(text)
    return folder / "tiny"


def left(store: Path) -> dict[str, str]:
    """The text of each package in the store, and nothing else is there but the lock."""
    names = sorted(path.name for path in store.iterdir() if path.name != installing.LOCK)
    return {name: (store / name / "model.toml").read_text() for name in names}


def test_a_package_is_replaced_where_that_is_wanted(tmp_path: Path) -> None:
    for text, replace in (("first", False), ("second", True)):
        with installing.workbench(tmp_path) as bench:
            installing.install(package(bench, text), tmp_path, replace=replace)
        assert left(tmp_path) == {"tiny": text}
    with (
        pytest.raises(errors.ModelError, match="has got a model tiny meanwhile: --replace"),
        installing.workbench(tmp_path) as bench,
    ):
        installing.install(package(bench, "third"), tmp_path, replace=False)
    assert left(tmp_path) == {"tiny": "second"}


def test_a_package_that_was_put_aside_by_a_process_that_was_killed_comes_back(tmp_path: Path) -> None:
    package(tmp_path / f"{installing.REPLACED}x", "old")
    with installing.workbench(tmp_path):
        assert (tmp_path / "tiny" / "model.toml").read_text() == "old"
    assert left(tmp_path) == {"tiny": "old"}
    package(tmp_path / f"{installing.REPLACED}y", "older")
    with installing.workbench(tmp_path):
        pass
    assert left(tmp_path) == {"tiny": "old"}


def test_a_package_that_cannot_be_moved_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, "old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.parent.name.startswith(installing.UNFINISHED):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with (
        pytest.raises(errors.ModelError, match="cannot be written: No space"),
        installing.workbench(tmp_path) as bench,
    ):
        installing.install(package(bench, "new"), tmp_path, replace=True)
    assert left(tmp_path) == {"tiny": "old"}


@pytest.mark.timeout(30)
def test_two_packages_are_made_at_a_time_and_what_nobody_makes_goes(tmp_path: Path) -> None:
    package(tmp_path / f"{installing.UNFINISHED}x", "killed")
    with installing.workbench(tmp_path) as one, installing.workbench(tmp_path) as other:
        assert {path.name for path in tmp_path.iterdir()} == {one.name, other.name, installing.LOCK}
        installing.install(package(one, "one"), tmp_path, replace=False)
        installing.install(package(other, "other"), tmp_path, replace=True)
    assert left(tmp_path) == {"tiny": "other"}


def test_a_link_in_the_store_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "tiny").symlink_to(package(tmp_path / "elsewhere", "theirs"))
    with installing.workbench(store) as bench:
        installing.install(package(bench, "new"), store, replace=True)
    assert (left(store), left(tmp_path / "elsewhere")) == ({"tiny": "new"}, {"tiny": "theirs"})
