"""Rough drawings of the ten characters, each a little different: for trying things where KMNIST is not at hand.

They are no data to train a model for use on.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import UInt8Array
from heliograph.training.characters.data import SIDE, Characters

FloatArray = npt.NDArray[np.float64]
Stroke = tuple[tuple[float, float], ...]
"""Corners (right, down) of a line, in shares of the picture's side."""

STROKES: tuple[tuple[Stroke, ...], ...] = (
    (
        ((0.2, 0.3), (0.6, 0.3)),
        ((0.4, 0.12), (0.4, 0.8), (0.25, 0.75), (0.3, 0.6), (0.6, 0.5), (0.75, 0.65), (0.6, 0.82)),
        ((0.7, 0.2), (0.85, 0.35)),
    ),
    (
        ((0.2, 0.25), (0.75, 0.2)),
        ((0.2, 0.42), (0.8, 0.37)),
        ((0.4, 0.1), (0.65, 0.6)),
        ((0.25, 0.65), (0.4, 0.85), (0.7, 0.85)),
    ),
    (
        ((0.1, 0.3), (0.9, 0.3)),
        ((0.55, 0.1), (0.55, 0.55), (0.4, 0.6), (0.4, 0.45), (0.55, 0.5), (0.55, 0.7), (0.4, 0.92)),
    ),
    (((0.1, 0.4), (0.5, 0.28), (0.85, 0.4), (0.8, 0.65), (0.45, 0.8)),),
    (
        ((0.15, 0.3), (0.5, 0.25)),
        ((0.35, 0.1), (0.15, 0.6)),
        ((0.65, 0.2), (0.85, 0.35)),
        ((0.6, 0.4), (0.6, 0.75), (0.4, 0.85), (0.35, 0.72), (0.6, 0.7), (0.85, 0.85)),
    ),
    (
        ((0.2, 0.15), (0.15, 0.85)),
        ((0.4, 0.35), (0.9, 0.33)),
        ((0.65, 0.12), (0.65, 0.75), (0.5, 0.85), (0.4, 0.72), (0.65, 0.7), (0.88, 0.85)),
    ),
    (
        ((0.2, 0.25), (0.8, 0.25)),
        ((0.25, 0.45), (0.78, 0.45)),
        ((0.5, 0.1), (0.5, 0.75), (0.35, 0.88), (0.25, 0.75), (0.5, 0.7), (0.8, 0.85)),
    ),
    (
        ((0.1, 0.5), (0.6, 0.28), (0.88, 0.4), (0.75, 0.6), (0.55, 0.58)),
        ((0.45, 0.12), (0.55, 0.28)),
        ((0.25, 0.25), (0.5, 0.92)),
    ),
    (
        ((0.25, 0.1), (0.25, 0.9)),
        ((0.1, 0.35), (0.38, 0.3), (0.1, 0.75), (0.55, 0.3), (0.65, 0.4), (0.62, 0.8), (0.9, 0.75)),
    ),
    (
        ((0.2, 0.25), (0.75, 0.22)),
        ((0.5, 0.08), (0.2, 0.55), (0.5, 0.5), (0.52, 0.7)),
        ((0.85, 0.42), (0.4, 0.65), (0.4, 0.88), (0.8, 0.9)),
    ),
)
"""In the order of `data.LABELS`."""

SHAKE = 0.03
PEN = (0.035, 0.06)


def draw(count: int, *, seed: int = 1) -> Characters:
    """``count`` characters, equally many of each label as far as that goes; the same for the same seed."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(STROKES)
    return Characters(np.stack([draw_one(int(label), rng) for label in labels]), labels.astype(np.uint8))


def draw_one(label: int, rng: np.random.Generator) -> UInt8Array:
    """(28, 28): one character by a shaky hand, light on black."""
    width = rng.uniform(*PEN)
    distance = np.full((SIDE, SIDE), np.inf)
    for stroke in STROKES[label]:
        corners = np.array(stroke) + rng.normal(0, SHAKE, (len(stroke), 2))
        for start, end in pairwise(corners):
            distance = np.minimum(distance, _distance(start, end))
    ink = np.clip((width - distance) * SIDE + 0.5, 0, 1)
    return np.asarray(np.rint(255 * ink), np.uint8)


def _distance(start: FloatArray, end: FloatArray) -> FloatArray:
    """(28, 28): how far each pixel's middle is from a straight line, in shares of the side."""
    down, right = (np.indices((SIDE, SIDE)) + 0.5) / SIDE
    along = end - start
    share = ((right - start[0]) * along[0] + (down - start[1]) * along[1]) / max(float(along @ along), 1e-9)
    share = np.clip(share, 0, 1)
    return np.asarray(np.hypot(right - start[0] - share * along[0], down - start[1] - share * along[1]))
