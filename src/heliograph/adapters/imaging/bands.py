"""Decoded Pillow images turned into sRGB arrays, band by band.

Every conversion makes copies; a band of a megapixel at a time keeps them small, so a
picture of 50 megapixels needs little more than its source and its answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from PIL import Image

from heliograph.adapters.imaging import colours
from heliograph.adapters.imaging.outlines import Outline
from heliograph.core.pictures import MEGAPIXEL, Float32Array, UInt8Array

_DEEP = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})

ToRgb: TypeAlias = Callable[[Image.Image], Image.Image]


class Pixels(NamedTuple):
    """(height, width, 3) and, unless the picture is opaque, (height, width)."""

    rgb: UInt8Array
    alpha: UInt8Array | None


def to_srgb(image: Image.Image, found: Outline, profiles: colours.Profiles) -> Pixels:
    """The pixels of a loaded image of any mode."""
    width, height = image.size
    with_alpha = image.mode in _WITH_ALPHA or "transparency" in image.info
    rgb = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if with_alpha else None
    convert = _converter(image, found, profiles)
    transparent = _transparent_level(image)
    for top, band in _bands(image):
        rows = slice(top, top + band.height)
        if alpha is None or transparent is not None:
            rgb[rows] = np.asarray(convert(band))
        else:
            _split(band, convert, rgb=rgb[rows], alpha=alpha[rows])
        if alpha is not None and transparent is not None:
            alpha[rows] = np.where(np.asarray(band) == transparent, 0, 255)
    return Pixels(rgb, alpha)


def convert_in_place(rgb: UInt8Array, transform: colours.Transform | None) -> None:
    """Makes sRGB of the pixels of another RGB space; None leaves them alone."""
    if transform is None:
        return
    rows = max(1, MEGAPIXEL // rgb.shape[1])
    for top in range(0, rgb.shape[0], rows):
        band = rgb[top : top + rows]
        band[...] = np.asarray(transform.apply(Image.fromarray(band)))


def split_bgra(bgra: UInt8Array) -> Pixels:
    """Colours and opacity of OpenCV's pixels of three or four channels."""
    if bgra.shape[2] == 3:
        return Pixels(np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGR2RGB), np.uint8), None)
    rgb = np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB), np.uint8)
    return Pixels(rgb, np.ascontiguousarray(bgra[..., 3]))


def _split(band: Image.Image, convert: ToRgb, *, rgb: UInt8Array, alpha: UInt8Array) -> None:
    """Writes colours and opacity of a band that has both."""
    both = band.convert("LA" if band.mode == "La" else "RGBA")
    alpha[...] = np.asarray(both.getchannel("A"))
    opaque = both.convert("RGB")
    rgb[...] = np.asarray(convert(opaque))


def _converter(image: Image.Image, found: Outline, profiles: colours.Profiles) -> ToRgb:
    """What makes RGB of a band of this image, its opacity apart."""
    if image.mode in _DEEP:
        black, white = _levels(image, found)
        return lambda band: Image.fromarray(_to_bytes(_numbers(band), black, white)).convert("RGB")
    if image.mode == "LAB":
        return colours.from_lab().apply
    is_split = image.mode in _WITH_ALPHA or "transparency" in image.info
    mode = image.mode if image.mode in {"L", "CMYK"} and not is_split else "RGB"
    transform = profiles.to_srgb(found.profile, mode)
    if transform is None:
        return lambda band: band.convert("RGB")
    return lambda band: transform.apply(band if band.mode == mode else band.convert(mode))


def _transparent_level(image: Image.Image) -> int | None:
    """The level of a deep grey picture that means transparent."""
    level = image.info.get("transparency")
    return level if image.mode in _DEEP and isinstance(level, int) else None


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image from top to bottom, as pieces of at most about a megapixel."""
    width, height = image.size
    rows = max(1, MEGAPIXEL // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _levels(image: Image.Image, found: Outline) -> tuple[float, float]:
    """Which numbers of a deep picture are black and white.

    Integers of up to 16 bits use their whole range. Numbers whose range is not declared are
    taken as 0 to 1, 0 to 255 or 0 to 65,535, whichever holds them all, else from least to most.
    """
    if image.mode.startswith("I;16"):
        black, white = 0.0, float(found.brightest)
    else:
        black, white = _undeclared_levels(image)
    return (white, black) if found.is_negative else (black, white)


def _undeclared_levels(image: Image.Image) -> tuple[float, float]:
    least, most = math.inf, -math.inf
    for _, band in _bands(image):
        numbers = _numbers(band)
        least, most = min(least, float(numbers.min())), max(most, float(numbers.max()))
    for top in (1.0, 255.0, 65_535.0):
        if least >= 0 and most <= top and not (image.mode == "I" and top == 1.0):
            return 0.0, top
    return least, most


def _numbers(band: Image.Image) -> Float32Array:
    """A band of a deep picture; what is not a finite number counts as 0."""
    return np.nan_to_num(np.asarray(band).astype(np.float32), posinf=0.0, neginf=0.0)


def _to_bytes(numbers: Float32Array, black: float, white: float) -> UInt8Array:
    """The numbers as levels from 0, for black, to 255."""
    scale = 255 / (white - black) if white != black else 0.0
    levels: UInt8Array = np.clip((numbers - black) * scale + 0.5, 0, 255).astype(np.uint8)
    return levels
