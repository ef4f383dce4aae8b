"""An alpha next to a mask: what overlaps, what differs, and where the boundary is."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.adapters.imaging.scoring import score
from heliograph.core.pictures import UInt8Array
from heliograph.core.scores import BOUNDARY_PIXELS


def square(*, moved: int = 0, level: int = 255) -> UInt8Array:
    mask = np.zeros((64, 64), np.uint8)
    mask[16 + moved : 48 + moved, 16:48] = level
    return mask


def test_the_same_is_perfect_and_so_is_nothing_for_nothing() -> None:
    empty = np.zeros((64, 64), np.uint8)
    for picture in (square(), empty, empty + 255):
        found = score(picture, picture)
        assert (found.iou, found.mae, found.boundary_f) == (1.0, 0.0, 1.0)


def test_overlap_and_error() -> None:
    found = score(square(moved=8), square())
    assert found.iou == pytest.approx(24 / 40)
    assert found.mae == pytest.approx(2 * 8 * 32 / 64**2)
    assert score(square(level=102), square()).mae == pytest.approx(0.6 * 32**2 / 64**2)
    assert score(square(level=102), square()).iou == 0, "what is less than half opaque is not found"


def test_a_boundary_is_found_within_its_tolerance_only() -> None:
    assert score(square(moved=BOUNDARY_PIXELS), square()).boundary_f == 1.0
    # the sides stay where they are but for their ends; top and bottom are too far away
    assert 0.3 < score(square(moved=BOUNDARY_PIXELS + 5), square()).boundary_f < 0.7
    assert score(square(), np.zeros((64, 64), np.uint8)).boundary_f == 0.0


def test_shapes_must_be_the_same() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64\).*\(8, 8\)"):
        score(square(), np.zeros((8, 8), np.uint8))
