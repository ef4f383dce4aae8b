"""AVIF files: opened by the decoder itself, without their metadata.

How the picture is shown is told by its ``irot`` and ``imir`` properties, which the
decoder reports as an EXIF orientation; EXIF in the file says nothing (AVIF 1.1, and
ISO/IEC 23008-12, 6.5.10), and parsing it could take all memory there is.
"""

from __future__ import annotations

from heliograph.adapters.imaging import exif, plugins
from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, broken, truncated
from heliograph.core import errors
from heliograph.core.pictures import MEGABYTE

_NOBODY = b"none"
_MAX_BOXES = 1_000
_MAX_META_BYTES = 4 * MEGABYTE
_MAX_MEMORY_BYTES = 500 * MEGABYTE
_HIGH_BIT_DEPTH = 0x40


def outline(data: bytes) -> Outline:
    """The file's account of itself.

    Raises:
        PictureBroken: it cannot be parsed.
    """
    reduced = pixels_only(data)
    try:
        with plugins.opened(reduced, Format.AVIF) as image:
            size, mode, info = image.size, image.mode, image.info
    except (OSError, SyntaxError, ValueError, RuntimeError) as error:
        raise broken("its AVIF boxes make no sense") from error
    _check_memory(size, has_alpha=mode == "RGBA", is_deep=_is_deep(reduced))
    return Outline(
        format=Format.AVIF,
        width=size[0],
        height=size[1],
        orientation=exif.orientation(info.get("exif", b"")),
        profile=info.get("icc_profile"),
    )


def _check_memory(size: tuple[int, int], *, has_alpha: bool, is_deep: bool) -> None:
    """Raises `PictureTooManyPixels` for what the decoder could not hold: it keeps three copies."""
    samples = 4 if has_alpha else 3
    needed = size[0] * size[1] * (samples * (2 if is_deep else 1) + 2 * samples + has_alpha)
    if needed > _MAX_MEMORY_BYTES:
        raise errors.PictureTooManyPixels(
            f"The picture is an AVIF of {size[0]} × {size[1]}, which takes too much memory to decode."
        )


def _is_deep(data: bytes) -> bool:
    """Whether a picture in the file has more than 8 bits a sample (AV1 in ISO media, 2.3.3)."""
    head = data[:_MAX_META_BYTES]
    at = head.find(b"av1C")
    while at >= 0:
        if head[at + 6 : at + 7] and head[at + 6] & _HIGH_BIT_DEPTH:
            return True
        at = head.find(b"av1C", at + 4)
    return False


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
