"""Small fields brought to a picture's size, a megapixel of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from heliograph.core.pictures import MEGAPIXEL, Float32Array


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Rows from top to bottom, about a megapixel at a time, so that what is made of them stays small."""
    step = max(1, MEGAPIXEL // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


class Enlarged:
    """A field (rows, columns) as if it were (height, width), interpolated bilinearly.

    Of a band, rows are mixed first and then made wide, each by itself, so that bands meet without a seam; all at once
    is a tenth of the work.
    """

    def __init__(self, field: Float32Array, *, height: int, width: int) -> None:
        self._field = field
        self._height, self._width = height, width
        rows = field.shape[0]
        at = np.clip((np.arange(height, dtype=np.float64) + 0.5) * (rows / height) - 0.5, 0, rows - 1)
        self._above = at.astype(np.intp)
        self._below = np.minimum(self._above + 1, rows - 1)
        self._share = (at - self._above).astype(np.float32)[:, None]

    def __getitem__(self, rows: slice) -> Float32Array:
        """The field at some rows, (rows, width)."""
        if rows.start == 0 and rows.stop == self._height:
            whole = cv2.resize(self._field, (self._width, self._height), interpolation=cv2.INTER_LINEAR)
            return np.asarray(whole, np.float32)
        above = self._field[self._above[rows]]
        mixed = above + (self._field[self._below[rows]] - above) * self._share[rows]
        wide = cv2.resize(mixed, (self._width, mixed.shape[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(wide, np.float32)
