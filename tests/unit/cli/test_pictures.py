from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from heliograph.cli.pictures import find_pictures
from heliograph.core import errors


def test_folders_are_searched_whole_for_known_suffixes_in_sorted_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for name in ("z.JPG", "b/deep/a.webp", "b/notes.txt", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    found = [source.path for source in find_pictures([str(tmp_path)])]
    assert found == [tmp_path / "b" / "deep" / "a.webp", tmp_path / "c.png", tmp_path / "z.JPG"]


def test_a_file_that_is_named_needs_no_suffix(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(b"data")
    [source] = find_pictures([str(path)])
    assert source.read(most=10) == b"data"


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.PictureMissing, match="no picture"):
        find_pictures([str(tmp_path)])


def test_a_file_that_is_missing_is_found_out_when_it_is_read(tmp_path: Path) -> None:
    [source] = find_pictures([str(tmp_path / "missing.png")])
    with pytest.raises(errors.PictureMissing, match="No such file"):
        source.read(most=10)


def test_no_more_is_read_than_one_byte_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(bytes(100))
    [source] = find_pictures([str(path)])
    assert len(source.read(most=10)) == 11


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"bytes")))
    [source] = find_pictures(["-"])
    assert (source.name, source.stem, source.read(most=10)) == ("stdin", "stdin", b"bytes")
