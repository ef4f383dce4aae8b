"""Which picture has which mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.adapters.imaging.masks import masked


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("a.jpg", "a.mask.png"),
        ("a.jpg", "a.png"),
        ("a.jpg", "a_mask.png"),
        ("a.png", "a.mask.png"),
        ("deep/er/a.jpg", "deep/er/masks/a.png"),
        ("A.JPG", "A.MASK.PNG"),
        ("A.JPG", "A.PNG"),
        ("gasmask.png", "gasmask.mask.png"),
    ],
)
def test_a_mask_is_found(tmp_path: Path, picture: str, mask: str) -> None:
    put(tmp_path, picture, mask, "other.jpg")
    assert masked(tmp_path, {".jpg", ".png"}) == [(tmp_path / picture, tmp_path / mask)]


def test_what_is_hidden_or_no_file_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, ".hidden/a.jpg", ".hidden/a.mask.png", "._b.jpg", "._b.mask.png", "c.jpg")
    (tmp_path / "c.mask.png").mkdir()
    assert masked(tmp_path, {".jpg"}) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        masked(tmp_path / "nowhere", {".jpg"})
