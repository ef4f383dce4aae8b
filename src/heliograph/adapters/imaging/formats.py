"""Which picture formats are read at all, told by their first bytes and never by a name."""

from __future__ import annotations

from enum import StrEnum

from heliograph.core import errors

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_BRANDS_READ = 32


class Format(StrEnum):
    """The formats that are read; everything else is refused unopened."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    BMP = "bmp"
    TIFF = "tiff"
    AVIF = "avif"


_MAGIC = (
    (b"\xff\xd8\xff", Format.JPEG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"BM", Format.BMP),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),
    (b"MM\0+", Format.TIFF),
)


def sniff(data: bytes) -> Format:
    """The format that the first bytes of ``data`` announce.

    Raises:
        PictureFormatUnknown: none that is read.
    """
    for magic, announced in _MAGIC:
        if data.startswith(magic):
            return announced
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and not _AVIF_BRANDS.isdisjoint(_brands(data)):
        return Format.AVIF
    raise errors.PictureFormatUnknown("Not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF file.")


def _brands(data: bytes) -> set[bytes]:
    """The major and the compatible brands of an ISO media file (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(data[:4]), 16 + 4 * _BRANDS_READ)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
