"""Pictures of a training exist, are PNG files, and show what they are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from heliograph.training import charts


def ink(path: Path) -> float:
    """The share of pixels that are not white."""
    with Image.open(path) as image:
        return float((np.asarray(image.convert("L")) < 250).mean())


def test_curves_of_a_history_with_gaps(tmp_path: Path) -> None:
    history = [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0, "accuracy": 0.5}]
    charts.draw_curves(history, {"loss": ["loss"], "share": ["accuracy", "absent"]}, tmp_path / "curves.png")
    charts.draw_curves([], {"loss": ["loss"]}, tmp_path / "empty.png")
    assert ink(tmp_path / "curves.png") > 0.02
    assert ink(tmp_path / "empty.png") > 0


def test_confusion_with_few_classes_and_with_very_many(tmp_path: Path) -> None:
    charts.draw_confusion(np.array([[3, 1], [0, 0]]), ["お", "bread_2 $x^"], tmp_path / "two.png")
    charts.draw_confusion(
        np.eye(300, dtype=np.int64), [f"class {n}" for n in range(300)], tmp_path / "many.png"
    )
    assert ink(tmp_path / "two.png") > 0.05
    with Image.open(tmp_path / "many.png") as image:
        assert max(image.size) < 4000


def test_a_contact_sheet_of_pictures_in_grey_and_colour(tmp_path: Path) -> None:
    black = np.zeros((8, 12), np.uint8)
    red = np.zeros((12, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    charts.draw_sheet([([black, red], f"number {n}") for n in range(5)], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        reds = (np.asarray(image.convert("RGB")) == (255, 0, 0)).all(axis=-1)
    assert reds.mean() > 0.02
    charts.draw_sheet([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
