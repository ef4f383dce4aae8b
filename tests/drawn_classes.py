"""Folders of drawn pictures that a classifier can learn from: discs, squares and stripes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "square", "stripes")


def draw(name: str, rng: np.random.Generator, side: int = 96) -> Image.Image:
    """One picture of a class, somewhere, in some shade."""
    ground = tuple(int(value) for value in rng.integers(120, 200, 3))
    image = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(image)
    left, top, size = (int(value) for value in rng.integers((8, 8, 36), (32, 32, 56)))
    shade = int(rng.integers(160, 256))
    if name == "disc":
        pen.ellipse((left, top, left + size, top + size), fill=(shade, 20, 20))
    elif name == "square":
        pen.rectangle((left, top, left + size, top + size), fill=(20, shade // 2, 20))
    else:
        for x in range(left % 12, side, 12):
            pen.line((x, 0, x, side), fill=(20, 20, shade), width=5)
    return image


def write(folder: Path, *, each: int = 6, classes: tuple[str, ...] = CLASSES, seed: int = 1) -> Path:
    """``folder`` with ``each`` pictures of every class, one folder a class."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            draw(name, rng).save(folder / name / f"{number}.png")
    return folder
