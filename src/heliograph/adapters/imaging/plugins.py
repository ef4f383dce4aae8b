"""Pillow's readers, each imported when the first file of its format comes.

Opening by class rather than by `Image.open` means that no other reader is ever tried:
Pillow has more than forty, some of which start programs.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

from PIL import Image

from heliograph.adapters.imaging.formats import Format

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# Pillow's own limit is one for the whole process and lies below what an operator may
# allow; every size is checked against the settings before Pillow sees the file.
Image.MAX_IMAGE_PIXELS = None

_READERS = {
    Format.JPEG: "JpegImageFile",
    Format.PNG: "PngImageFile",
    Format.GIF: "GifImageFile",
    Format.BMP: "BmpImageFile",
    Format.TIFF: "TiffImageFile",
    Format.AVIF: "AvifImageFile",
}


def opened(data: bytes, announced: Format) -> ImageFile:
    """The picture, parsed but not decoded; the caller closes it."""
    name = _READERS[announced]
    reader = getattr(import_module(f"PIL.{name.removesuffix('File')}Plugin"), name)
    return cast("ImageFile", reader(BytesIO(data)))
