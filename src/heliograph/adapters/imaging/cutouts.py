"""The encoded answers of a background removal."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from heliograph.core import errors
from heliograph.core.pictures import MEGAPIXEL, Float32Array, Picture, UInt8Array
from heliograph.core.predictions import PictureFormat

_WEBP_QUALITY = 90
_WEBP_SIDE = 16_383
_PNG_SETTINGS = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)


def opacity(picture: Picture, matte: Float32Array) -> UInt8Array:
    """The matte at the picture's size, (height, width), times the picture's own opacity."""
    height, width = picture.rgb.shape[:2]
    levels = np.clip(np.nan_to_num(matte), 0.0, 1.0) * 255.0 + 0.5
    shrinks = width < matte.shape[1] or height < matte.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    alpha = cv2.resize(levels.astype(np.uint8), (width, height), interpolation=how)
    if picture.alpha is not None:
        alpha = cv2.multiply(alpha, picture.alpha, scale=1 / 255)
    return np.asarray(alpha, np.uint8)


def transparent(rgb: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """BGRA of the subject; what is wholly transparent is black, which packs well."""
    bgra = np.empty((*alpha.shape, 4), np.uint8)
    for rows in _bands(alpha):
        opaque = cv2.cvtColor(rgb[rows], cv2.COLOR_RGB2BGRA)
        opaque[..., 3] = alpha[rows]
        bgra[rows] = cv2.copyTo(opaque, alpha[rows])
    return bgra


def composite(
    rgb: UInt8Array, alpha: UInt8Array, background: UInt8Array | tuple[int, int, int]
) -> UInt8Array:
    """BGR of the subject in front of a colour, or of a picture of the same size (RGB)."""
    bgr = np.empty((*alpha.shape, 3), np.uint8)
    colour = np.asarray(background, np.uint8)
    for rows in _bands(alpha):
        front = rgb[rows]
        ground = np.broadcast_to(colour if colour.ndim == 1 else colour[rows], front.shape)
        share = cv2.merge([alpha[rows]] * 3).astype(np.uint16)
        mixed = front * share + ground * (255 - share) + 127
        bgr[rows] = (mixed // 255)[..., ::-1]
    return bgr


def covering(rgb: UInt8Array, width: int, height: int) -> UInt8Array:
    """The centre of a picture, scaled so that it covers ``width`` × ``height``."""
    rows, columns = rgb.shape[:2]
    scale = min(columns / width, rows / height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (columns - across) // 2, (rows - down) // 2
    window = rgb[top : top + down, left : left + across]
    how = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(window, (width, height), interpolation=how), np.uint8)


def encode(pixels: UInt8Array, wanted: PictureFormat) -> bytes:
    """The file of grey, BGR or BGRA pixels.

    Raises:
        PictureTooManyPixels: a WebP cannot have so long a side.
    """
    if wanted is PictureFormat.WEBP:
        if max(pixels.shape[:2]) > _WEBP_SIDE:
            raise errors.PictureTooManyPixels(
                f"A WebP has at most {_WEBP_SIDE:,} pixels a side; ask for PNG."
            )
        _, file = cv2.imencode(".webp", pixels, (cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY))
    else:
        _, file = cv2.imencode(".png", pixels, _PNG_SETTINGS)
    return file.tobytes()


def _bands(alpha: UInt8Array) -> Iterator[slice]:
    """Rows from top to bottom, about a megapixel at a time, so that what is made of them stays small."""
    step = max(1, MEGAPIXEL // alpha.shape[1])
    for top in range(0, alpha.shape[0], step):
        yield slice(top, top + step)
