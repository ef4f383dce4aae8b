"""Labels for photographs that people have not masked: what slower models make of them, kept as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

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
    _, file = cv2.imencode(".png", matte)
    write(photograph.label, file.tobytes())
    return None


def write(path: Path, data: bytes) -> None:
    """Writes a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(f".{path.name}.part")
    partial_file.write_bytes(data)
    partial_file.replace(path)


def _picture(rgb: UInt8Array) -> Picture:
    height, width = rgb.shape[:2]
    return Picture(header=PictureHeader(format="pixels", width=width, height=height), rgb=rgb)
