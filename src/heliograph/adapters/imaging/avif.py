"""AVIF files: opened by the decoder itself, without their metadata.

How the picture is shown is told by its ``irot`` and ``imir`` properties, which the
decoder reports as an EXIF orientation; EXIF in the file says nothing (AVIF 1.1, and
ISO/IEC 23008-12, 6.5.10), and parsing it could take all memory there is.
"""

from __future__ import annotations

from heliograph.adapters.imaging import exif, plugins
from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, broken, truncated
from heliograph.core.pictures import MEGABYTE

_NOBODY = b"none"
_MAX_BOXES = 1_000
_MAX_META_BYTES = 4 * MEGABYTE


def outline(data: bytes) -> Outline:
    """The file's account of itself.

    Raises:
        PictureBroken: it cannot be parsed.
    """
    try:
        with plugins.opened(pixels_only(data), Format.AVIF) as image:
            size, info = image.size, image.info
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        raise broken("its AVIF boxes make no sense") from error
    return Outline(
        format=Format.AVIF,
        width=size[0],
        height=size[1],
        orientation=exif.orientation(info.get("exif", b"")),
        profile=info.get("icc_profile"),
    )


def pixels_only(data: bytes) -> bytes:
    """The file with its metadata items renamed to a type that nobody reads.

    Raises:
        PictureBroken: its boxes make no sense.
    """
    at = 0
    for _ in range(_MAX_BOXES):
        size, kind = _box(data, at)
        if kind == b"meta":
            if size > _MAX_META_BYTES:
                raise broken("too much metadata")
            meta = data[at : at + size].replace(b"Exif", _NOBODY).replace(b"mime", _NOBODY)
            return b"".join([memoryview(data)[:at], meta, memoryview(data)[at + size :]])
        at += size
        if at >= len(data):
            return data
    raise broken("too many boxes")


def _box(data: bytes, at: int) -> tuple[int, bytes]:
    """How long the box at ``at`` is, and its type (ISO/IEC 14496-12, 4.2)."""
    size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
    if size == 1:
        size = int.from_bytes(data[at + 8 : at + 16])
    elif size == 0:
        size = len(data) - at
    if size < 8 or at + size > len(data):
        raise truncated()
    return size, kind
