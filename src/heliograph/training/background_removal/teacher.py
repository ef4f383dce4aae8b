"""Labels for photographs that people have not masked: what slower models make of them, kept as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import cv2
import numpy as np

from heliograph.adapters.models.files import write_whole
from heliograph.core.pictures import Float32Array, Picture, PictureHeader, UInt8Array
from heliograph.serving.direct import DirectModel
from heliograph.training.background_removal.photographs import Photograph, read_picture

Teacher: TypeAlias = Callable[[UInt8Array], Float32Array]
"""The matte of pixels (height, width, 3), from 0 to 1, at any size."""


def taught_by(models: Sequence[DirectModel]) -> Teacher:
    """The mean of several background removers, each asked for the picture and for its mirror image."""

    def teach(rgb: UInt8Array) -> Float32Array:
        height, width = rgb.shape[:2]
        total = np.zeros((height, width), np.float32)
        for model in models:
            for mirrored in (False, True):
                seen = np.ascontiguousarray(rgb[:, ::-1]) if mirrored else rgb
                matte = model.matte(_picture(seen))
                if mirrored:
                    matte = np.ascontiguousarray(matte[:, ::-1])
                total += cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)
        return total / np.float32(2 * len(models))

    return teach


def signature(models: Sequence[DirectModel]) -> str:
    """A name for a folder: which models these are, to the byte of their weights."""
    return "+".join(f"{each.spec.name}-{each.spec.variants[0].sha256[:8]}" for each in models) or "nobody"


def label(
    photographs: Sequence[Photograph], teacher: Teacher, *, threads: int
) -> Iterator[tuple[Photograph, str | None]]:
    """Writes the labels that are missing; yields each photograph, with the reason why it has none."""
    with ThreadPoolExecutor(threads) as pool:
        yield from zip(photographs, pool.map(partial(_label, teacher=teacher), photographs), strict=True)


def _label(photograph: Photograph, *, teacher: Teacher) -> str | None:
    if photograph.label.is_file():
        return None
    try:
        rgb = read_picture(photograph.path)
    except OSError as error:
        return str(error)
    matte = np.rint(teacher(rgb) * 255).astype(np.uint8)
    file = cv2.imencode(".png", matte)[1].tobytes()
    photograph.label.parent.mkdir(parents=True, exist_ok=True)
    write_whole(photograph.label, [file], size=len(file))
    return None


def _picture(rgb: UInt8Array) -> Picture:
    height, width = rgb.shape[:2]
    return Picture(header=PictureHeader(format="pixels", width=width, height=height), rgb=rgb)
