"""What photographs may look like that users send: moved, dark, grey, on another background, without a subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from heliograph.core.pictures import UInt8Array
from heliograph.training.background_removal.photographs import Photograph, read

Rng: TypeAlias = np.random.Generator
Example: TypeAlias = tuple[UInt8Array, UInt8Array]
"""Pixels (side, side, 3) and the label (side, side)."""

SHRINKS_FROM = 1.2
"""So many pixels of a photograph in one of an example are too many for a warp."""
_TIGHTER = np.clip((np.arange(256) - 77) * 2, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """How often an example is something other than a photograph moved about."""

    pasted: float = 0.3
    """A subject on another background."""
    second: float = 0.15
    """A second subject beside it."""
    empty: float = 0.03
    """A background alone."""
    grey: float = 0.06
    dark: float = 0.08
    noisy: float = 0.15
    packed: float = 0.2
    """JPEG of low quality."""
    blurred: float = 0.1


class Examples:
    """Makes examples of photographs.

    Args:
        photographs: with their labels.
        side: of the examples, in pixels.
        chances: see `Chances`.
    """

    def __init__(
        self, photographs: Sequence[Photograph], *, side: int, chances: Chances | None = None
    ) -> None:
        self._photographs = photographs
        self._side = side
        self._chances = chances or Chances()

    def __len__(self) -> int:
        return len(self._photographs)

    def plain(self, number: int) -> Example:
        """A photograph as it is, stretched to the side."""
        rgb, label = read(self._photographs[number])
        size = (self._side, self._side)
        return _array(cv2.resize(rgb, size, interpolation=_how(rgb, self._side))), _array(
            cv2.resize(label, size, interpolation=_how(rgb, self._side))
        )

    def make(self, number: int, rng: Rng) -> Example:
        """An example that shows photograph ``number``, or its subject, or a background instead of it."""
        chance = rng.random()
        if chance < self._chances.empty:
            rgb, label = self._background(rng), np.zeros((self._side, self._side), np.uint8)
        elif chance < self._chances.empty + self._chances.pasted:
            rgb, label = self._pasted(number, rng)
        else:
            rgb, label = moved(*read(self._photographs[number]), self._side, rng)
        return self._coloured(rgb, rng), label

    def _pasted(self, number: int, rng: Rng) -> Example:
        """The subject of a photograph, and perhaps another one, on a background of its own."""
        canvas, union = self._background(rng), np.zeros((self._side, self._side), np.uint8)
        numbers = [number]
        if rng.random() < self._chances.second:
            numbers.insert(0, int(rng.integers(len(self))))
        for each in numbers:
            rgb, label = read(self._photographs[each])
            rgb, label = _subject(rgb, tightened(label), self._side, rng, several=len(numbers) > 1)
            share = label * np.float32(1 / 255)
            canvas = _array(cv2.blendLinear(rgb, canvas, share, 1 - share))
            union = np.maximum(union, label)
        return canvas, union

    def _background(self, rng: Rng) -> UInt8Array:
        """A plain or shaded ground, or a part of a photograph without its subject."""
        if rng.random() < 0.35:
            return plain_ground(self._side, rng)
        for _ in range(4):
            rgb, label = read(self._photographs[int(rng.integers(len(self)))])
            height, width = label.shape
            down, across = (int(size * rng.uniform(0.35, 0.7)) for size in (height, width))
            top, left = int(rng.integers(height - down + 1)), int(rng.integers(width - across + 1))
            part = label[top : top + down, left : left + across]
            if down > 8 and across > 8 and part.mean() < 3:
                window = rgb[top : top + down, left : left + across]
                ground = cv2.resize(window, (self._side, self._side), interpolation=cv2.INTER_CUBIC)
                return _array(ground[:, ::-1] if rng.random() < 0.5 else ground)
        # Nothing without a subject was found: one that nobody can make out any more.
        few = int(rng.integers(5, 12))
        small = cv2.resize(rgb, (few, few), interpolation=cv2.INTER_AREA)
        return _array(cv2.resize(small, (self._side, self._side), interpolation=cv2.INTER_CUBIC))

    def _coloured(self, rgb: UInt8Array, rng: Rng) -> UInt8Array:
        """Other light, other camera."""
        chances = self._chances
        gain = rng.uniform(0.7, 1.3) * rng.uniform(0.9, 1.1, 3)
        if rng.random() < chances.dark:
            gain = gain * rng.uniform(0.25, 0.6)
        middle = rgb.mean()
        levels = (np.arange(256.0) - middle) * rng.uniform(0.7, 1.3) + middle
        table = np.clip(levels[:, None] * gain, 0, 255).astype(np.uint8)
        pixels = _array(cv2.LUT(rgb, table[None]))
        if rng.random() < chances.grey:
            pixels = _array(cv2.merge([cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)] * 3))
        if rng.random() < chances.blurred:
            pixels = _array(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.6)))
        if rng.random() < chances.noisy:
            pixels = noisy(pixels, rng)
        if rng.random() < chances.packed:
            _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 85))])
            pixels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return pixels


def noisy(rgb: UInt8Array, rng: Rng) -> UInt8Array:
    """The pixels with what a sensor adds in the dark."""
    noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(2, 10))
    return _array(cv2.add(rgb, noise.astype(np.int16), dtype=cv2.CV_8U))


def moved(rgb: UInt8Array, label: UInt8Array, side: int, rng: Rng) -> Example:
    """A photograph cropped or shrunk, turned, mirrored; the rest is filled with its own mirror image."""
    height, width = label.shape
    window = rng.uniform(0.55, 1.15)
    aspect = np.exp(rng.uniform(-0.17, 0.17))
    across, down = width * window * aspect, height * window / aspect
    x = _centre(width, across, rng)
    y = _centre(height, down, rng)
    return _warped(rgb, label, side, rng, centre=(x, y), window=(across, down), border=cv2.BORDER_REFLECT_101)


def _subject(rgb: UInt8Array, label: UInt8Array, side: int, rng: Rng, *, several: bool) -> Example:
    """The part of a photograph that its subject takes, on an example's place for it."""
    rows, columns = np.flatnonzero(label.max(axis=1) > 127), np.flatnonzero(label.max(axis=0) > 127)
    if not len(rows) or not len(columns):
        return moved(rgb, label, side, rng)
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    # How much of the example the subject is to fill, at most on its longer side.
    fill = rng.uniform(0.25, 0.6) if several else rng.uniform(0.4, 1.05)
    extent = max(height, width) / fill
    free = 1 - fill
    shift = rng.uniform(-0.5, 0.5, 2) * max(free, 0.15) * extent
    x = (columns[0] + columns[-1]) / 2 + shift[0]
    y = (rows[0] + rows[-1]) / 2 + shift[1]
    aspect = np.exp(rng.uniform(-0.25, 0.25))
    window = (extent * aspect, extent / aspect)
    return _warped(rgb, label, side, rng, centre=(x, y), window=window, border=cv2.BORDER_REPLICATE)


def _warped(
    rgb: UInt8Array,
    label: UInt8Array,
    side: int,
    rng: Rng,
    *,
    centre: tuple[float, float],
    window: tuple[float, float],
    border: int,
) -> Example:
    """``window`` pixels (across, down) around ``centre``, as an example; perhaps mirrored, perhaps turned."""
    angle = rng.uniform(-0.25, 0.25) if rng.random() < 0.4 else 0.0
    mirrored = -1.0 if rng.random() < 0.5 else 1.0
    cosine, sine = np.cos(angle), np.sin(angle)
    across, down = window[0] / side, window[1] / side
    if max(across, down) > SHRINKS_FROM:
        # To warp is to look at four pixels: what is to become much smaller is averaged before.
        height, width = label.shape
        size = (max(1, round(width / max(across, 1))), max(1, round(height / max(down, 1))))
        rgb, label = (_array(cv2.resize(each, size, interpolation=cv2.INTER_AREA)) for each in (rgb, label))
        shrunk = (size[0] / width, size[1] / height)
        centre = (centre[0] * shrunk[0], centre[1] * shrunk[1])
        across, down = across * shrunk[0], down * shrunk[1]
    # Pixels of the example → pixels of the photograph.
    matrix = np.array(
        [[across * cosine * mirrored, -down * sine, 0], [across * sine * mirrored, down * cosine, 0]]
    )
    matrix[:, 2] = np.asarray(centre) - matrix[:, :2] @ np.array([side / 2, side / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    outside = cv2.BORDER_CONSTANT if border == cv2.BORDER_REPLICATE else border
    pixels = cv2.warpAffine(rgb, matrix, (side, side), flags=flags, borderMode=border)
    return _array(pixels), _array(
        cv2.warpAffine(label, matrix, (side, side), flags=flags, borderMode=outside)
    )


def plain_ground(side: int, rng: Rng) -> UInt8Array:
    """White, black, a colour, or a shade from one colour to another."""
    kind = rng.random()
    if kind < 0.2:
        first = second = np.full(3, rng.uniform(235, 255))
    elif kind < 0.3:
        first = second = np.full(3, rng.uniform(0, 25))
    else:
        first, second = rng.uniform(0, 255, (2, 3))
        if kind < 0.6:
            second = first
    angle = rng.uniform(0, 2 * np.pi)
    steps = np.linspace(-0.5, 0.5, side)
    slope = np.clip(np.cos(angle) * steps[None] + np.sin(angle) * steps[:, None] + 0.5, 0, 1)[..., None]
    return _array(np.rint(first * slope + second * (1 - slope)).astype(np.uint8))


def tightened(label: UInt8Array) -> UInt8Array:
    """The label with its soft rim drawn together, so that little of the old background comes along."""
    return _array(cv2.LUT(label, _TIGHTER))


def _centre(size: int, window: float, rng: Rng) -> float:
    """Where a window of a photograph has its middle: inside if it is smaller."""
    free = abs(size - window) / 2
    return size / 2 + rng.uniform(-free, free)


def _how(rgb: UInt8Array, side: int) -> int:
    return cv2.INTER_AREA if max(rgb.shape[:2]) > side else cv2.INTER_LINEAR


def _array(pixels: cv2.typing.MatLike) -> UInt8Array:
    return np.asarray(pixels, np.uint8)
