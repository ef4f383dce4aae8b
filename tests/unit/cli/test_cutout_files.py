from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.cli.cutout_files import make_folder, name_files, write_file
from heliograph.cli.pictures import PictureSource
from heliograph.core import errors


def named(sources: list[PictureSource], folder: Path) -> list[str]:
    files = name_files(sources, folder, suffix=".png")
    return [files[source].name for source in sources]


def source(path: Path) -> PictureSource:
    return PictureSource(str(path), path)


def test_equal_stems_get_numbers_whatever_their_case_and_folder(tmp_path: Path) -> None:
    paths = [Path("a/cat.jpg"), Path("b/cat.png"), Path("Cat.webp"), Path("cat-2.png"), Path("dog.png")]
    found = named([source(path) for path in paths], tmp_path)
    assert found == ["cat.png", "cat-2.png", "Cat-3.png", "cat-2-2.png", "dog.png"]
    assert len({name.casefold() for name in found}) == len(found)


def test_a_picture_that_is_named_twice_gets_two_files(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    assert named([source(path), source(path)], tmp_path) == ["cat.png", "cat-2.png"]


def test_a_picture_that_is_read_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"input")
    (tmp_path / "dog.png").hardlink_to(tmp_path / "cat.png")
    found = named([source(tmp_path / "cat.png"), source(tmp_path / "x" / "dog.jpg")], tmp_path)
    assert found == ["cat-2.png", "dog-2.png"]


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "cat.png"
    target.write_bytes(b"older cut-out")
    assert write_file(target, b"new") == target
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(errors.ParameterInvalid, match="cannot be made"):
        make_folder(file)
    with pytest.raises(errors.ParameterInvalid, match="cannot be written"):
        write_file(file / "cat.png", b"data")
    assert list(tmp_path.iterdir()) == [file]
