"""A picture as the network is shown it: as serving prepares it, or as another photograph might have been taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.imaging.tensors import resized
from heliograph.adapters.models.efficientnet_lite import PIXEL_MEAN, PIXEL_STD, SIDE_PIXELS
from heliograph.core.models import Fit, InputSpec, Interpolation, Layout
from heliograph.core.pictures import Float32Array, PictureLimits, UInt8Array

SIDE = SIDE_PIXELS
CANVAS = 288
"""Pixels a side of the square that views are cut out of."""

INPUT = InputSpec(
    width=SIDE,
    height=SIDE,
    fit=Fit.CROP,
    crop=0.9,
    interpolation=Interpolation.AREA,
    mean=(PIXEL_MEAN,) * 3,
    std=(PIXEL_STD,) * 3,
)
"""What ``model.toml`` says."""

_SEEN = replace(INPUT, layout=Layout.NHWC)
_SQUARE = replace(_SEEN, width=CANVAS, height=CANVAS, crop=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)


class Viewer:
    """Reads pictures as serving does, within the limits of a picture."""

    def __init__(self, limits: PictureLimits) -> None:
        self._codec = PictureCodec(limits)

    def look(self, data: bytes) -> None:
        """Returns if the picture can be decoded; raises what serving would answer."""
        self.plain(data)

    def plain(self, data: bytes) -> Float32Array:
        """(224, 224, 3): the picture as serving prepares it, channels last."""
        return self._prepared(data, _SEEN)

    def varied(self, data: bytes, rngs: list[np.random.Generator]) -> Float32Array:
        """(n, 224, 224, 3): one view of the picture for each generator."""
        square = self._prepared(data, _SQUARE).astype(np.uint8)
        return np.stack([_normalised(_exposed(_cropped(square, rng), rng)) for rng in rngs])

    def _prepared(self, data: bytes, spec: InputSpec) -> Float32Array:
        header = self._codec.inspect(data)
        picture = self._codec.decode(data, header, at_least=self._codec.decode_size(header, spec))
        return self._codec.prepare(picture, spec)


def _cropped(square: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A window of 35 to 100 % of the area, a little narrower or wider, mirrored or not."""
    area, aspect = rng.uniform(0.35, 1.0), np.exp(rng.uniform(-0.25, 0.25))
    width = min(CANVAS, round(CANVAS * np.sqrt(area * aspect)))
    height = min(CANVAS, round(CANVAS * np.sqrt(area / aspect)))
    left, top = rng.integers(CANVAS - width + 1), rng.integers(CANVAS - height + 1)
    window = square[top : top + height, left : left + width]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    return resized(np.ascontiguousarray(window), SIDE, SIDE, Interpolation.AREA)


def _exposed(pixels: UInt8Array, rng: np.random.Generator) -> Float32Array:
    """Brighter or darker, with more or less contrast and colour, under a warmer or colder light."""
    values = pixels.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.7, 1.3))
    values = values.mean() + (values - values.mean()) * np.float32(rng.uniform(0.75, 1.25))
    values *= np.float32(rng.uniform(0.75, 1.25)) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    return np.asarray(np.clip(values, 0, 255), np.float32)


def _normalised(values: Float32Array) -> Float32Array:
    return np.asarray((values - np.float32(PIXEL_MEAN)) / np.float32(PIXEL_STD), np.float32)
