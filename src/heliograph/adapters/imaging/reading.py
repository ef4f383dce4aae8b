"""Outlines and pixels of files of every format."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from heliograph.adapters.imaging import avif, bands, bmp, gif, jpeg, plugins, png, tiff, turning, webp
from heliograph.adapters.imaging.colours import Profiles
from heliograph.adapters.imaging.formats import Format, sniff
from heliograph.adapters.imaging.outlines import Outline, broken
from heliograph.core import errors
from heliograph.core.pictures import UInt8Array

_REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)

_OUTLINES: dict[Format, Callable[[bytes], Outline]] = {
    Format.JPEG: lambda data: jpeg.read(data).outline,
    Format.PNG: png.outline,
    Format.WEBP: lambda data: webp.read(data).outline,
    Format.GIF: gif.outline,
    Format.BMP: bmp.outline,
    Format.TIFF: lambda data: tiff.read(data).outline,
    Format.AVIF: avif.outline,
}


def outline(data: bytes) -> Outline:
    """What the file says of itself.

    Raises:
        PictureFormatUnknown: not an image that we read.
        PictureBroken: its header makes no sense.
    """
    return _OUTLINES[sniff(data)](data)


def pixels(data: bytes, *, at_least: tuple[int, int] | None, profiles: Profiles) -> bands.Pixels:
    """The first frame, upright and in sRGB; smaller than stored where ``at_least`` allows it.

    Raises:
        PictureError: it cannot be decoded, for whatever reason.
    """
    try:
        return _decode(data, at_least, profiles)
    except errors.PictureError:
        raise
    except Exception as error:
        # Decoders fail in ways of their own: OSError, SyntaxError, struct.error, cv2.error,
        # MemoryError, OverflowError… Whichever it is, these bytes give no picture.
        raise broken("it cannot be decoded") from error


def _decode(data: bytes, at_least: tuple[int, int] | None, profiles: Profiles) -> bands.Pixels:
    match sniff(data):
        case Format.JPEG:
            file = jpeg.read(data)
            found, stored = file.outline, _jpeg(data, file, at_least, profiles)
        case Format.WEBP:
            still = webp.read(data)
            found, stored = still.outline, _webp(data, still, profiles)
        case Format.BMP if bmp.is_packed(data):
            found = bmp.outline(data)
            stored = bands.Pixels(_exactly(data, cv2.IMREAD_COLOR_RGB, found.width, found.height), None)
        case other:
            found = _OUTLINES[other](data)
            stored = _load(_reduced(data, other), found, profiles)
    return turning.upright(stored, found.orientation)


def _jpeg(
    data: bytes, file: jpeg.JpegFile, at_least: tuple[int, int] | None, profiles: Profiles
) -> bands.Pixels:
    """A JPEG's pixels, by OpenCV where it can (twice as fast as Pillow)."""
    clean = jpeg.pixels_only(data, file)
    found = file.outline
    grey_profile = profiles.to_srgb(found.profile, "L") if file.components == 1 else None
    if not file.is_ordinary or grey_profile is not None:
        return _load(clean, found, profiles)
    width, height = found.width, found.height
    factor, flags = _reduction(found, at_least)
    flags |= cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    rgb = _exactly(clean, flags, -(-width // factor), -(-height // factor))
    bands.convert_in_place(rgb, profiles.to_srgb(found.profile, "RGB"))
    return bands.Pixels(rgb, None)


def _reduction(found: Outline, at_least: tuple[int, int] | None) -> tuple[int, int]:
    """The largest factor to scale down by while decoding, and OpenCV's flag for it."""
    if at_least is not None:
        header = found.header
        for factor, flag in _REDUCED:
            if header.width >= factor * at_least[0] and header.height >= factor * at_least[1]:
                return factor, flag
    return 1, 0


def _webp(data: bytes, file: webp.WebpFile, profiles: Profiles) -> bands.Pixels:
    """A WebP's first frame on its canvas, which is transparent around it."""
    bgra = _exactly(webp.pixels_only(data, file), cv2.IMREAD_UNCHANGED, file.width, file.height)
    found = file.outline
    with_alpha = bgra.shape[2] == 4
    rgb, alpha = bands.split_bgra(bgra)
    bands.convert_in_place(rgb, profiles.to_srgb(found.profile, "RGB"))
    if (file.width, file.height) == (found.width, found.height):
        return bands.Pixels(rgb, alpha if with_alpha else None)
    area = (slice(file.top, file.top + file.height), slice(file.left, file.left + file.width))
    canvas = np.zeros((found.height, found.width, 3), np.uint8)
    covered = np.zeros((found.height, found.width), np.uint8)
    canvas[area] = rgb
    covered[area] = 255 if alpha is None else alpha
    return bands.Pixels(canvas, covered)


def _reduced(data: bytes, announced: Format) -> bytes:
    """The file with nothing but what its pixels need."""
    match announced:
        case Format.PNG:
            return png.pixels_only(data)
        case Format.GIF:
            return gif.pixels_only(data)
        case Format.TIFF:
            return tiff.pixels_only(data, tiff.read(data))
        case Format.AVIF:
            return avif.pixels_only(data)
        case _:
            return data


def _load(reduced: bytes, found: Outline, profiles: Profiles) -> bands.Pixels:
    """The pixels of a file that Pillow reads."""
    with plugins.opened(reduced, found.format) as image:
        if image.size != (found.width, found.height):
            raise broken("its size is not what its header says")
        image.load()
        return bands.to_srgb(image, found, profiles)


def _exactly(data: bytes, flags: int, width: int, height: int) -> UInt8Array:
    """What OpenCV decodes, if it is of the size that was announced."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if decoded is None:
        raise broken("it cannot be decoded")
    if decoded.shape[:2] != (height, width):
        raise broken("its size is not what its header says")
    return np.asarray(decoded, np.uint8)
