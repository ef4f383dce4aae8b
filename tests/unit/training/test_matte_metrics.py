"""Scores of an alpha next to a mask."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.training.background_removal import metrics


def box(left: int, right: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    mask = np.zeros((60, 60), np.uint8)
    mask[20:40, left:right] = 255
    return mask


def test_the_same_is_perfect() -> None:
    score = metrics.score(box(20, 40), box(20, 40))
    assert (score.iou, score.mae, score.boundary_f) == (1, 0, 1)


def test_half_of_it_is_a_half() -> None:
    score = metrics.score(box(20, 30), box(20, 40))
    assert score.iou == pytest.approx(0.5)
    assert score.mae == pytest.approx(200 / 3600)
    assert 0.5 < score.boundary_f < 0.9


@pytest.mark.parametrize(("shift", "found"), [(3, True), (4, False)])
def test_a_boundary_may_be_three_pixels_off(shift: int, found: bool) -> None:
    wanted, moved = np.zeros((60, 60), np.uint8), np.zeros((60, 60), np.uint8)
    wanted[:, :30] = 255
    moved[:, : 30 + shift] = 255
    assert metrics.score(moved, wanted).boundary_f == float(found)


def test_nothing_where_nothing_is_wanted_is_right() -> None:
    nothing = np.zeros((8, 8), np.uint8)
    assert metrics.score(nothing, nothing).iou == 1
    assert metrics.score(nothing, nothing).boundary_f == 1
    assert metrics.score(box(20, 40), np.zeros((60, 60), np.uint8)).boundary_f == 0


def test_the_border_of_the_picture_is_no_boundary() -> None:
    assert not metrics.boundary(np.ones((8, 8), np.bool_)).any()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="mask"):
        metrics.score(np.zeros((2, 2), np.uint8), np.zeros((3, 2), np.uint8))


def test_the_mean_is_over_pictures() -> None:
    perfect, half = metrics.score(box(20, 40), box(20, 40)), metrics.score(box(20, 30), box(20, 40))
    assert metrics.mean([perfect, half]).iou == pytest.approx(0.75)
