"""What every format's reader tells before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliograph.adapters.imaging.formats import Format
from heliograph.core import errors
from heliograph.core.pictures import PictureHeader

UPRIGHT = 1
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A file's own account of itself.

    ``width`` and ``height`` are as stored; ``orientation`` is EXIF's number from 1 to 8 for
    how it is to be shown. ``profile`` is an ICC profile or None. For a grey picture of more
    than 8 bits, ``brightest`` is its highest level, which ``is_negative`` makes black.
    """

    format: Format
    width: int
    height: int
    orientation: int = UPRIGHT
    profile: bytes | None = field(default=None, repr=False)
    brightest: int = 65_535
    is_negative: bool = False

    @property
    def header(self) -> PictureHeader:
        """The outline as the picture is shown."""
        width, height = self.width, self.height
        if self.orientation in _SIDEWAYS:
            width, height = height, width
        return PictureHeader(format=self.format.value, width=width, height=height)


def broken(what: str) -> errors.PictureBroken:
    """The refusal of a broken file; ``what`` completes "The picture is broken: …"."""
    return errors.PictureBroken(f"The picture is broken: {what}.")


def truncated() -> errors.PictureBroken:
    """The refusal of a file that ends too early."""
    return broken("the file ends too early")
