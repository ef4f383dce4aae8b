"""EXIF's eight orientations, in every format that can say them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from heliograph.adapters.imaging import exif
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core.pictures import PictureLimits

CODEC = PictureCodec(PictureLimits())
UNDONE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def upright() -> Image.Image:
    """Four quarters of different colours, wider than high."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24] = (250, 20, 20)
    pixels[:16, 24:] = (20, 250, 20)
    pixels[16:, :24] = (20, 20, 250)
    pixels[16:, 24:] = (240, 240, 240)
    return Image.fromarray(pixels)


def stored(orientation: int, kind: str, *, alpha: bool = False) -> bytes:
    """The upright picture as a camera held differently would store it."""
    image = upright()
    if alpha:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    undo = UNDONE[orientation]
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    if kind == "TIFF":
        options = {"tiffinfo": {274: orientation}}
    else:
        options["exif"] = tags.tobytes()
    file = BytesIO()
    (image if undo is None else image.transpose(undo)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_pictures_come_out_upright(kind: str, orientation: int) -> None:
    data = stored(orientation, kind)
    header = CODEC.inspect(data)
    assert (header.width, header.height) == (48, 32)
    picture = CODEC.decode(data, header)
    assert np.abs(picture.rgb.astype(int) - np.asarray(upright())).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_alpha_turns_along(orientation: int) -> None:
    data = stored(orientation, "PNG", alpha=True)
    picture = CODEC.decode(data, CODEC.inspect(data))
    assert picture.alpha is not None
    wanted = np.asarray(Image.linear_gradient("L").resize((48, 32)))
    assert np.array_equal(picture.alpha, wanted)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_scaled_decode_is_measured_upright(orientation: int) -> None:
    data = stored(orientation, "JPEG")
    header = CODEC.inspect(data)
    assert CODEC.decode(data, header, at_least=(24, 16)).rgb.shape == (16, 24, 3)
    assert CODEC.decode(data, header, at_least=(16, 24)).rgb.shape == (32, 48, 3)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\xc8\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\x06\0\0",
    ],
)
def test_exif_that_makes_no_sense_says_upright(block: bytes) -> None:
    assert exif.orientation(block) == 1


def test_exif_of_either_byte_order() -> None:
    assert exif.orientation(b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0") == 6
    assert exif.orientation(b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0") == 8
