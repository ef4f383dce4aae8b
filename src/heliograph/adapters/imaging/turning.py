"""Pictures turned the way they are to be shown."""

from __future__ import annotations

import cv2
import numpy as np

from heliograph.adapters.imaging.bands import Pixels
from heliograph.core.pictures import UInt8Array

_ROTATIONS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}


def upright(stored: Pixels, orientation: int) -> Pixels:
    """The pixels as EXIF's orientation number wants them shown."""
    if orientation == 1:
        return stored
    alpha = stored.alpha
    return Pixels(_turned(stored.rgb, orientation), None if alpha is None else _turned(alpha, orientation))


def _turned(pixels: UInt8Array, orientation: int) -> UInt8Array:
    if orientation in _ROTATIONS:
        return np.asarray(cv2.rotate(pixels, _ROTATIONS[orientation]), np.uint8)
    if orientation in _FLIPS:
        return np.asarray(cv2.flip(pixels, _FLIPS[orientation]), np.uint8)
    transposed = cv2.transpose(pixels)
    return np.asarray(transposed if orientation == 5 else cv2.rotate(transposed, cv2.ROTATE_180), np.uint8)
