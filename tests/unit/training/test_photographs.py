"""Photographs with masks and labels, and the examples made of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import drawn_subjects
from heliograph.core.pictures import Float32Array, UInt8Array
from heliograph.training.background_removal import photographs, teacher
from heliograph.training.background_removal.augmentation import (
    Chances,
    Examples,
    moved,
    plain_ground,
    tightened,
)


@pytest.fixture
def drawn(tmp_path: Path) -> list[photographs.Photograph]:
    folder = drawn_subjects.write(tmp_path / "drawn", 8)
    (folder / "notes.txt").write_text("not a picture")
    return photographs.find([folder], tmp_path / "labels")


def test_masks_are_found_beside_their_photographs(drawn: list[photographs.Photograph]) -> None:
    assert [photograph.path.name for photograph in drawn] == [f"{number}.png" for number in range(8)]
    assert all(photograph.by_hand for photograph in drawn)
    rgb, label = photographs.read(drawn[3])
    expected, mask = drawn_subjects.draw(3)
    np.testing.assert_array_equal(rgb, expected)
    assert np.count_nonzero(label != mask) < 10  # its corners are rounded


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photograph"):
        photographs.find([tmp_path], tmp_path)


def test_a_teacher_labels_what_nobody_has_masked(tmp_path: Path) -> None:
    folder = drawn_subjects.write(tmp_path / "drawn", 2)
    (folder / "0.mask.png").unlink()
    (folder / "broken.jpg").write_bytes(b"not a picture")
    found = photographs.find([folder], tmp_path / "labels")

    def bright(rgb: UInt8Array) -> Float32Array:
        return np.asarray(rgb.min(axis=2) > 100, np.float32)

    problems = dict(teacher.label([each for each in found if not each.by_hand], bright, threads=2))
    assert [problem is None for problem in problems.values()] == [True, False]
    first = photographs.read(found[0])[1]
    np.testing.assert_array_equal(first, drawn_subjects.draw(0)[1])
    # A label that is there is kept.
    assert list(teacher.label(found[:1], lambda rgb: np.zeros(rgb.shape[:2], np.float32), threads=1)) == [
        (found[0], None)
    ]
    np.testing.assert_array_equal(photographs.read(found[0])[1], first)


def test_photographs_of_one_name_have_labels_of_their_own(tmp_path: Path) -> None:
    for name, number in (("a", 0), ("b", 1)):
        folder = drawn_subjects.write(tmp_path / name / "images", number + 1)
        for path in sorted(folder.iterdir())[: 2 * number]:
            path.unlink()
        (folder / f"{number}.mask.png").unlink()
        (folder / f"{number}.png").rename(folder / "same.png")
    found = photographs.find([tmp_path / "a" / "images", tmp_path / "b" / "images"], tmp_path / "labels")
    assert [photograph.path.name for photograph in found] == ["same.png", "same.png"]
    assert found[0].label != found[1].label


def test_held_out_photographs_are_the_same_each_time(drawn: list[photographs.Photograph]) -> None:
    kept, held_out = photographs.split(drawn, 0.25, seed=1)
    assert len(kept) == 6
    assert len(held_out) == 2
    assert photographs.split(drawn, 0.25, seed=1) == (kept, held_out)
    assert not set(kept) & set(held_out)


def test_examples_are_the_same_for_the_same_seed_and_keep_the_label_on_the_subject(
    drawn: list[photographs.Photograph],
) -> None:
    examples = Examples(drawn, side=96, chances=Chances(grey=0, dark=0, noisy=0, packed=0, blurred=0))
    for number in range(len(drawn)):
        for seed in range(6):
            rgb, label = examples.make(number, np.random.default_rng(seed))
            again, _ = examples.make(number, np.random.default_rng(seed))
            np.testing.assert_array_equal(rgb, again)
            assert rgb.shape == (96, 96, 3)
            assert label.shape == (96, 96)
            inside, outside = label > 250, label < 5
            if inside.sum() > 50 and outside.sum() > 50 and seed > 0:
                spread = rgb[inside].std(axis=0).mean()
                assert spread < 40, "the label covers more than the subject"


def test_an_example_may_show_nothing(drawn: list[photographs.Photograph]) -> None:
    _, label = Examples(drawn, side=64, chances=Chances(empty=1.0)).make(0, np.random.default_rng(0))
    assert not label.any()


def test_pasted_subjects_have_another_ground(drawn: list[photographs.Photograph]) -> None:
    examples = Examples(drawn, side=96, chances=Chances(pasted=1.0, empty=0.0, second=0.0))
    grounds = {
        tuple(np.median(rgb[label == 0], axis=0))
        for rgb, label in (examples.make(1, np.random.default_rng(seed)) for seed in range(6))
    }
    assert len(grounds) == 6


def test_moving_keeps_picture_and_label_together() -> None:
    rgb, mask = drawn_subjects.draw(1)
    for seed in range(5):
        picture, label = moved(rgb, mask, 128, np.random.default_rng(seed))
        bright = (picture.min(axis=2) > 100).astype(np.uint8) * 255
        assert np.mean(cv2.absdiff(bright, np.where(label > 127, 255, 0).astype(np.uint8))) < 255 * 0.03


def test_what_becomes_much_smaller_is_averaged() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    picture, _ = moved(fine, np.zeros((1024, 1024), np.uint8), 64, np.random.default_rng(3))
    assert picture.std() < 20  # of noise of 74, over some hundred pixels each


def test_grounds_are_of_the_asked_size() -> None:
    for seed in range(8):
        assert plain_ground(33, np.random.default_rng(seed)).shape == (33, 33, 3)


def test_a_soft_rim_is_drawn_together() -> None:
    levels = tightened(np.array([[0, 76, 140, 204, 255]], np.uint8))
    assert levels.tolist() == [[0, 0, 126, 254, 255]]


def test_masks_are_no_photographs_to_learn_from(tmp_path: Path) -> None:
    folder = drawn_subjects.write(tmp_path / "drawn", 2)
    (folder / "0.mask.png").rename(folder / "0.MASK.PNG")
    (folder / "masks").mkdir()
    (folder / "1.mask.png").rename(folder / "masks" / "1.png")
    found = photographs.find([folder], tmp_path / "labels")
    assert [(each.path.stem, each.label.name, each.by_hand) for each in found] == [
        ("0", "0.MASK.PNG", True),
        ("1", "1.png", True),
    ]
