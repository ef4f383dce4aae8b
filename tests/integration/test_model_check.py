"""``heliograph models check`` on small folders whose right answers are known."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from heliograph.cli.app import app
from integration.tiny_models import colour_picture, write_models


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_MODEL_DIR", str(write_models(tmp_path / "store")))


def check(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", "check", *map(str, arguments)])
    return result.exit_code, result.output


def labelled(folder: Path) -> Path:
    for label, colours in {"red": ("red", "maroon"), "Green": ("lime", "blue"), "blue": ("blue",)}.items():
        (folder / label).mkdir(parents=True)
        for number, colour in enumerate(colours):
            (folder / label / f"{number}.png").write_bytes(colour_picture(colour))
    return folder


def test_a_classifier(tmp_path: Path) -> None:
    folder, table = labelled(tmp_path / "data"), tmp_path / "confusion.csv"
    status, said = check("colours", folder, "--csv", table)
    assert status == 0, said
    assert "80.0% of 5 pictures are right" in said
    assert "blue (1)" in said
    rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert rows == [
        ["label", "red", "green", "blue"],
        ["red", "2", "0", "0"],
        ["green", "0", "1", "1"],
        ["blue", "0", "0", "1"],
    ]


def test_a_picture_that_cannot_be_read_is_named_and_counted(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "data")
    (folder / "red" / "broken.jpg").write_bytes(b"no picture")
    (folder / "red" / "notes.txt").write_text("not looked at")
    status, said = check("colours", folder)
    assert status == 1
    assert "1 could not be read" in said
    assert "broken.jpg: Not a JPEG" in said
    status, said = check("colours", folder, "--json")
    facts = json.loads(said)
    assert (status, facts["pictures"], facts["accuracy"], len(facts["refused"])) == (1, 5, 0.8, 1)


def test_a_folder_is_the_label_that_is_spelled_like_it(tmp_path: Path) -> None:
    (tmp_path / "store" / "colours" / "labels.txt").write_text("red\nRed\nblue\n")
    for folder, colour in (("red", "red"), ("Red", "lime"), ("BLUE", "blue")):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "0.png").write_bytes(colour_picture(colour))
    assert "100.0% of 3 pictures are right" in check("colours", tmp_path / "data")[1]


def test_a_background_remover(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    half = np.zeros((64, 64, 3), np.uint8)
    half[:32] = 255
    (folder / "deep" / "masks").mkdir(parents=True)
    for name, mask in (
        ("beside.png", "beside.mask.png"),
        ("other.bmp", "other.png"),
        ("deep/third.png", "deep/masks/third.png"),
    ):
        Image.fromarray(half).save(folder / name)
        (folder / mask).write_bytes(grey(half[:, :, 0]))
    Image.fromarray(half).save(folder / "without.jpg")
    status, said = check("brightness", folder, "--json")
    facts = json.loads(said)
    assert status == 0, said
    assert facts["pictures"] == 3
    assert facts["mean_iou"] > 0.95
    assert facts["mae"] < 0.05
    assert facts["boundary_f"] > 0.95
    assert "boundary F 1.000 within 3 pixels" in check("brightness", folder)[1]
    (folder / "beside.mask.png").write_bytes(grey(np.roll(half[:, :, 0], 10, axis=0)))
    moved = json.loads(check("brightness", folder, "--json")[1])["scores"][0]
    assert (moved["iou"] > 0.5, moved["boundary_f"]) == (True, 0)
    (folder / "beside.mask.png").write_bytes(grey(half[:9, :, 0]))
    status, said = check("brightness", folder)
    assert status == 1
    assert "beside.mask.png: The mask of beside.png is 64 × 9, the picture 64 × 64." in said
    (folder / "beside.mask.png").write_bytes(b"no picture")
    assert "beside.mask.png: The mask of beside.png cannot be used: Not a" in check("brightness", folder)[1]


def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.jpg")
    (tmp_path / "endless.png").write_bytes(grey(np.zeros((8, 8), np.uint8)))
    assert "has no picture with a mask" in check("brightness", tmp_path)[1]


def grey(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "red").mkdir(parents=True)
    (tmp_path / "data" / "red" / "notes.txt").write_text("no picture")
    status, said = check("colours", tmp_path / "data")
    assert (status, "has no picture in its folders" in said) == (1, True), said


def test_folders_that_do_not_fit_are_said(tmp_path: Path) -> None:
    (tmp_path / "data" / "purple").mkdir(parents=True)
    status, said = check("colours", tmp_path / "data")
    assert status == 1
    assert "purple" in said
    assert "a folder for each label (red, green, blue" in said
    assert "wants NAME.mask.png" in check("brightness", tmp_path / "data")[1]
    assert "No such file" in check("colours", tmp_path / "nowhere")[1]
