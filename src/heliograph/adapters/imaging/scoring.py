"""How good an alpha is, next to a mask that people made."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import UInt8Array
from heliograph.core.scores import BOUNDARY_PIXELS, MatteScore

BoolArray: TypeAlias = npt.NDArray[np.bool_]

THRESHOLD = 128


def score(alpha: UInt8Array, mask: UInt8Array) -> MatteScore:
    """Compares an alpha (height, width) with a mask of the same shape, both from 0 to 255.

    Raises:
        ValueError: the shapes differ.
    """
    if alpha.shape != mask.shape:
        raise ValueError(f"The alpha is {alpha.shape}, the mask {mask.shape}.")
    found, wanted = alpha >= THRESHOLD, mask >= THRESHOLD
    return MatteScore(
        iou=intersection_over_union(found, wanted),
        mae=float(np.mean(cv2.absdiff(alpha, mask))) / 255,
        boundary_f=boundary_f(found, wanted),
    )


def intersection_over_union(found: BoolArray, wanted: BoolArray) -> float:
    """Of two masks of the same shape; 1 where both are empty."""
    either = int(np.count_nonzero(found | wanted))
    return int(np.count_nonzero(found & wanted)) / either if either else 1.0


def boundary_f(found: BoolArray, wanted: BoolArray) -> float:
    """The harmonic mean of how much of each boundary lies within the tolerance of the other (D. Martin, 2004)."""
    ours, theirs = boundary(found), boundary(wanted)
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    precision = float(near(theirs)[ours].mean())
    recall = float(near(ours)[theirs].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: BoolArray) -> BoolArray:
    """The subject's pixels that touch what is no subject; the picture's border is no boundary."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(mask & (inner == 0))


def near(lines: BoolArray) -> BoolArray:
    """The pixels within the tolerance of a line."""
    size = 2 * BOUNDARY_PIXELS + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.dilate(lines.astype(np.uint8), disc) > 0)
