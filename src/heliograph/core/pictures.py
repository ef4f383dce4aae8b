"""Pictures before and after decoding, and what "too large" means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core import errors

UInt8Array: TypeAlias = npt.NDArray[np.uint8]
Float32Array: TypeAlias = npt.NDArray[np.float32]

MEGABYTE = 1_000_000
MEGAPIXEL = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """What one picture may be at most; checked before anything is decoded."""

    max_bytes: int = 20 * MEGABYTE
    max_pixels: int = 50 * MEGAPIXEL
    max_side: int = 16_384

    def check_bytes(self, size: int) -> None:
        """Raises `PictureMissing` for no bytes, `PictureTooLarge` for too many."""
        if size == 0:
            raise errors.PictureMissing("The picture is empty.")
        if size > self.max_bytes:
            raise errors.PictureTooLarge(f"The picture has {size:,} bytes; the limit is {self.max_bytes:,}.")

    def check_size(self, width: int, height: int) -> None:
        """Raises `PictureBroken` for no pixels, `PictureTooManyPixels` for too many (in pixels)."""
        if width < 1 or height < 1:
            raise errors.PictureBroken(f"The picture claims a size of {width} × {height}.")
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise errors.PictureTooManyPixels(
                f"The picture is {width} × {height}; the limits are {self.max_pixels:,} pixels "
                f"and {self.max_side:,} a side."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """What a file says of itself before it is decoded.

    ``width`` and ``height`` are in pixels as the picture is shown, with its
    EXIF orientation applied.
    """

    format: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A decoded picture: sRGB, upright, first frame.

    ``rgb`` is (height, width, 3) uint8. ``alpha`` is (height, width) uint8 or None
    for an opaque picture; ``rgb`` is not multiplied with it. ``rgb`` may be smaller
    than ``header`` says where the caller allowed a scaled decode.
    """

    header: PictureHeader
    rgb: UInt8Array
    alpha: UInt8Array | None = None
