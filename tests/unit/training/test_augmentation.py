"""Augmented pictures stay pictures, and stay recognisable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.core.pictures import Float32Array
from heliograph.training.characters import augmentation

Augmentation = Callable[[Float32Array, np.random.Generator], Float32Array]
EVERY: list[Augmentation] = [
    augmentation.augment,
    augmentation.warp,
    augmentation.restroke,
    augmentation.expose,
    augmentation.cut_out,
]


def crosses(count: int = 200) -> Float32Array:
    pictures = np.zeros((count, 28, 28), np.float32)
    pictures[:, 12:15, 6:22] = 255
    pictures[:, 6:22, 12:15] = 255
    return pictures


@pytest.mark.parametrize("augmentation_", EVERY)
def test_shape_type_and_range_stay(augmentation_: Augmentation) -> None:
    given = crosses()
    answer = augmentation_(given, np.random.default_rng(0))
    assert answer.shape == given.shape
    assert answer.dtype == np.float32
    assert answer.min() >= 0
    assert answer.max() <= 255.001
    assert np.array_equal(given, crosses()), "the argument was changed"
    assert not np.array_equal(answer, given)


@pytest.mark.parametrize("augmentation_", EVERY)
def test_the_same_seed_gives_the_same_pictures(augmentation_: Augmentation) -> None:
    first, again, other = (augmentation_(crosses(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_warped_sign_stays_near_its_place() -> None:
    warped = augmentation.warp(crosses(500), np.random.default_rng(0))
    ink = warped.sum(axis=(1, 2))
    places = np.arange(28)
    middle = np.stack([warped.sum(axis=axis) @ places / ink for axis in (1, 2)])
    assert np.abs(middle - 13).max() < 7
    assert abs(middle.mean() - 13) < 0.3, "signs drift to one side"
    assert ink.min() > 0.3 * crosses(1).sum()


def test_sampling_at_the_pixels_themselves_changes_nothing() -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 28, 28)).astype(np.float32)
    rows, columns = np.indices(pictures.shape, dtype=np.float32)[1:]
    assert np.array_equal(augmentation.sample(pictures, rows, columns), pictures)


def test_sampling_between_pixels_and_outside() -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (1, 28, 28)).astype(np.float32)
    rows, columns = np.indices(pictures.shape, dtype=np.float32)[1:]
    half = augmentation.sample(pictures, rows, columns + np.float32(0.5))
    expected = (pictures + np.pad(pictures, ((0, 0), (0, 0), (0, 1)))[..., 1:]) / 2
    assert half == pytest.approx(expected, abs=1e-3)
    for far in (-1e6, -30.0, 30.0, 1e6):
        assert not augmentation.sample(pictures, rows + np.float32(far), columns).any()


def test_mixed_targets_are_probabilities_and_favour_the_own_label() -> None:
    targets = np.eye(10, dtype=np.float32)[np.arange(200) % 10]
    pictures, mixed = augmentation.mix(crosses(), targets, np.random.default_rng(0))
    assert pictures.shape == (200, 28, 28)
    assert pictures.dtype == mixed.dtype == np.float32
    assert mixed.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    assert (mixed[np.arange(200), np.arange(200) % 10] >= 0.5).all()
    assert (mixed.max(axis=1) < 0.99).any(), "nothing was mixed"
