"""A matte brought to its picture's size: with the picture's own edges, without seams, and never out of range."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from heliograph.adapters.imaging import edges, enlarging
from heliograph.core.models import Edges
from heliograph.core.pictures import Float32Array, UInt8Array

LIGHT, DARK = np.array([220, 180, 150], np.uint8), np.array([30, 60, 40], np.uint8)
RNG = np.random.default_rng(7)


def disc(width: int, height: int, radius: float) -> UInt8Array:
    """255 inside a circle in the middle, 0 outside; its border falls between the places of a small matte."""
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot(columns - 0.503 * width, rows - 0.497 * height) < radius
    return np.where(inside, np.uint8(255), np.uint8(0))


def small(truth: UInt8Array) -> Float32Array:
    """The mask as a matte (64, 64) from 0 to 1."""
    levels = cv2.resize(truth, (64, 64), interpolation=cv2.INTER_AREA)
    return np.multiply(levels, 1 / 255, dtype=np.float32)


def test_guided_edges_lie_nearer_to_those_of_the_picture() -> None:
    truth = disc(640, 480, 150)
    rgb = np.where(truth[..., None] > 0, LIGHT, DARK)
    matte = small(truth)
    errors = {how: np.abs(edges.alpha_of(matte, rgb, how).astype(int) - truth).mean() for how in Edges}
    assert errors[Edges.GUIDED] < 0.7 * errors[Edges.PLAIN]


def test_a_picture_without_edges_changes_nothing() -> None:
    matte = np.asarray(cv2.GaussianBlur(RNG.random((40, 40), np.float32), (0, 0), 4), np.float32)
    rgb = np.full((400, 300, 3), 90, np.uint8)
    plain, guided = (edges.alpha_of(matte, rgb, how).astype(int) for how in Edges)
    stretched = np.clip((plain - 0.05 * 255) / 0.9, 0, 255)
    # Windows are averaged twice, which flattens even this smooth matte a little.
    assert np.abs(stretched - guided).max() <= 14


def test_what_is_nearly_nothing_is_nothing_and_what_is_nearly_whole_is_whole() -> None:
    rgb = RNG.integers(0, 256, (400, 300, 3), dtype=np.uint8)
    for level, wanted in ((0.04, 0), (0.96, 255)):
        assert np.unique(edges.alpha_of(np.full((40, 40), level, np.float32), rgb, Edges.GUIDED)) == wanted


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf, -np.inf])
def test_a_matte_of_one_value_stays_one(value: float) -> None:
    rgb = RNG.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    alpha = edges.alpha_of(np.full((32, 32), value, np.float32), rgb, Edges.GUIDED)
    assert alpha.dtype == np.uint8
    assert np.unique(alpha).tolist() == [255 if value in (1.0, np.inf) else 0]


def test_bands_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = RNG.integers(0, 256, (301, 257, 3), dtype=np.uint8)
    matte = RNG.random((48, 64), np.float32)
    whole = edges.alpha_of(matte, rgb, Edges.GUIDED)
    banded = []
    for rows in (7, 50):
        monkeypatch.setattr(enlarging, "MEGAPIXEL", 257 * rows)
        banded.append(edges.alpha_of(matte, rgb, Edges.GUIDED))
    assert np.array_equal(banded[0], banded[1])
    assert np.abs(banded[0].astype(int) - whole).max() <= 1


def test_enlarging_is_what_the_whole_would_be() -> None:
    field = RNG.random((30, 20), np.float32)
    enlarged = enlarging.Enlarged(field, height=211, width=97)
    parts = np.vstack([enlarged[rows] for rows in (slice(0, 100), slice(100, 101), slice(101, 211))])
    assert np.abs(parts - cv2.resize(field, (97, 211), interpolation=cv2.INTER_LINEAR)).max() < 1e-4


@pytest.mark.parametrize("size", [(8, 8), (32, 31), (1, 1)])
def test_a_matte_that_has_to_shrink_is_averaged(size: tuple[int, int]) -> None:
    rgb = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    matte = RNG.random((32, 32), np.float32)
    plain, guided = (edges.alpha_of(matte, rgb, how) for how in Edges)
    assert plain.shape == size[::-1]
    assert np.array_equal(plain, guided)


def test_a_picture_that_is_smaller_in_one_direction_guides_too() -> None:
    truth = disc(640, 60, 28)
    rgb = np.where(truth[..., None] > 0, LIGHT, DARK)
    matte = small(truth)
    errors = {how: np.abs(edges.alpha_of(matte, rgb, how).astype(int) - truth).mean() for how in Edges}
    assert errors[Edges.GUIDED] < 0.8 * errors[Edges.PLAIN]


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1)])
def test_mattes_of_one_pixel(size: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 7, np.uint8)
    assert np.all(edges.alpha_of(np.ones((1, 1), np.float32), rgb, Edges.GUIDED) == 255)
