"""Pillow's readers, each imported when the first file of its format comes.

Opening by class rather than by `Image.open` means that no other reader is ever tried:
Pillow has more than forty, some of which start programs.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

import cv2
from PIL import Image

from heliograph.adapters.imaging.formats import Format

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_READERS = {
    Format.JPEG: "JpegImageFile",
    Format.PNG: "PngImageFile",
    Format.GIF: "GifImageFile",
    Format.BMP: "BmpImageFile",
    Format.TIFF: "TiffImageFile",
    Format.AVIF: "AvifImageFile",
}


def settle() -> None:
    """Makes the libraries fit for many pictures at a time; the settings are one for the process.

    Pillow's own limit lies below what an operator may allow: every size is checked against
    the settings before Pillow sees the file. One thread works on a picture: how many
    pictures are worked on at a time is decided where threads are counted. OpenCV writes a
    line for every broken picture, which would let strangers fill the log.
    """
    Image.MAX_IMAGE_PIXELS = None
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def opened(data: bytes, announced: Format) -> ImageFile:
    """The picture, parsed but not decoded; the caller closes it."""
    name = _READERS[announced]
    plugin = import_module(f"PIL.{name.removesuffix('File')}Plugin")
    if announced is Format.AVIF:
        # The only way that Pillow offers; by itself it starts a thread for each processor.
        vars(plugin)["DEFAULT_MAX_THREADS"] = 1
    reader = getattr(plugin, name)
    return cast("ImageFile", reader(BytesIO(data)))
