"""Photographs drawn for tests: a disc or a box on a ground, and its mask."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def draw(number: int, *, width: int = 120, height: int = 90) -> tuple[Picture, Picture]:
    """Pixels (height, width, 3), red first, and the mask (height, width)."""
    rng = np.random.default_rng(number)
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[...] = rng.integers(0, 90, 3)
    mask = np.zeros((height, width), np.uint8)
    x, y = (int(rng.integers(size // 3, 2 * size // 3)) for size in (width, height))
    size = int(rng.integers(15, 28))
    if number % 2:
        cv2.circle(mask, (x, y), size, 255, -1)
    else:
        cv2.rectangle(mask, (x - size, y - size), (x + size, y + size), 255, -1)
    rgb[mask > 0] = rng.integers(150, 255, 3)
    return rgb, mask


def write(folder: Path, count: int) -> Path:
    """The folder with so many photographs ``0.png``… and their masks ``0.mask.png``…"""
    folder.mkdir(parents=True)
    for number in range(count):
        rgb, mask = draw(number)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / f"{number}.mask.png"), mask)
    return folder
