"""The held-out characters as somebody might draw them, to see what a network makes of that."""

from __future__ import annotations

import numpy as np

from heliograph.training.characters import augmentation
from heliograph.training.characters.data import Characters

DISPLACEMENTS = {
    "as they are": {"scale": 1.0, "down": 0.0, "right": 0.0},
    "2 pixels down": {"scale": 1.0, "down": 2.0, "right": 0.0},
    "2 pixels to the left": {"scale": 1.0, "down": 0.0, "right": -2.0},
    "80 % of the size": {"scale": 0.8, "down": 0.0, "right": 0.0},
    "70 % of the size, 2 pixels up and to the right": {"scale": 0.7, "down": -2.0, "right": 2.0},
}


def displaced(characters: Characters, *, scale: float, down: float, right: float) -> Characters:
    """The characters as somebody might draw them: smaller (``scale`` < 1), and moved by so many pixels."""
    pictures = characters.pictures.astype(np.float32)
    middle = (pictures.shape[1] - 1) / 2
    places = np.indices(pictures.shape, dtype=np.float32)[1:]
    rows = (places[0] - middle - down) / scale + middle
    columns = (places[1] - middle - right) / scale + middle
    moved = augmentation.sample(pictures, rows, columns)
    return Characters(np.rint(moved).astype(np.uint8), characters.labels)
