"""Whatever the bytes are, the answer is a picture or a refusal that names its reason."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core import errors
from heliograph.core.pictures import Picture, PictureLimits

CODEC = PictureCodec(PictureLimits(max_pixels=1_000_000, max_side=4_000, max_bytes=1_000_000))
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "cmyk jpeg": ("JPEG", {"mode": "CMYK"}),
    "png": ("PNG", {}),
    "palette png": ("PNG", {"mode": "P"}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "jpeg tiff": ("TIFF", {"compression": "jpeg"}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {}),
}
NOT_PIXELS = {"gif": 1}
"""How many bytes at the end may be missing: a GIF's first frame is whole without the end of the file."""


@cache
def sample(name: str) -> bytes:
    """A small noisy picture, so that every byte of its file matters."""
    kind, options = KINDS[name]
    options = dict(options)
    pixels = np.random.default_rng(7).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).convert(options.pop("mode", "RGB")).save(file, kind, **options)
    return file.getvalue()


def answer(data: bytes) -> Picture | errors.HeliographError:
    """The picture or the refusal; any other exception fails the test."""
    try:
        header = CODEC.inspect(data)
        picture = CODEC.decode(data, header)
    except (errors.PictureError, errors.PictureMissing) as refusal:
        return refusal
    assert picture.rgb.shape == (header.height, header.width, 3)
    return picture


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_refused(name: str, share: float) -> None:
    whole = sample(name)
    assert isinstance(answer(whole), Picture)
    refusal = answer(whole[: min(int(share * len(whole)), len(whole) - NOT_PIXELS.get(name, 0) - 1)])
    assert isinstance(refusal, errors.HeliographError)
    assert refusal.message.endswith(".")
    assert "0x" not in refusal.message


@pytest.mark.parametrize("name", KINDS)
def test_what_follows_a_whole_picture_is_ignored(name: str) -> None:
    assert isinstance(answer(sample(name) + bytes(range(256))), Picture)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_changed_bytes_never_surprise(name: str, data: st.DataObject) -> None:
    changed = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    answer(bytes(changed))


@settings(max_examples=200, deadline=None)
@given(
    magic=st.sampled_from([sample(name)[:cut] for name in KINDS for cut in (4, 12, 30)]),
    rest=st.binary(max_size=200),
)
def test_random_bytes_after_a_known_beginning_never_surprise(magic: bytes, rest: bytes) -> None:
    answer(magic + rest)


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"8BPS\0\1" + bytes(40),
        b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
        b"PK\3\4" + bytes(40),
        b"P6 1 1 255\n\0\0\0",
        b"\0\0\1\0\1\0" + bytes(40),
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
        b"RIFF\4\0\0\0WAVE",
        b"push graphic-context\nimage over 0,0 0,0 'https://example.org/'\n",
    ],
)
def test_other_formats_are_never_opened(data: bytes) -> None:
    with pytest.raises(errors.PictureFormatUnknown):
        CODEC.inspect(data)


def test_limits_hold_before_anything_is_decoded() -> None:
    with pytest.raises(errors.PictureMissing):
        CODEC.inspect(b"")
    with pytest.raises(errors.PictureTooLarge):
        CODEC.inspect(bytes(1_000_001))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def liar(name: str, width: int, height: int) -> bytes:
    """A small file whose header claims a size."""
    if name == "png":
        return png_header(width, height) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    whole = bytearray(sample(name))
    if name == "jpeg":
        at = whole.find(b"\xff\xc0") + 5
        whole[at : at + 4] = struct.pack(">HH", height, width)
    elif name == "gif":
        whole[6:10] = struct.pack("<HH", width, height)
    elif name == "bmp":
        whole[18:26] = struct.pack("<ii", width, height)
    elif name == "lossless webp":
        whole[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    elif name == "avif":
        at = whole.find(b"ispe") + 8
        whole[at : at + 8] = struct.pack(">II", width, height)
    else:
        for tag, value in ((256, width), (257, height)):
            at = whole.find(struct.pack("<HH", tag, 3 if b"\0\1\3\0" in whole else 4))
            whole[at + 2 : at + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(whole)


LIARS = ["jpeg", "png", "gif", "bmp", "lossless webp", "avif", "tiff"]


@pytest.mark.parametrize("name", LIARS)
@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (4_001, 10), (10, 4_001), (1_001, 1_000)])
def test_claimed_sizes_over_the_limits_are_refused(name: str, width: int, height: int) -> None:
    with pytest.raises(errors.PictureTooManyPixels):
        CODEC.inspect(liar(name, width, height))


@pytest.mark.parametrize("name", [name for name in LIARS if name != "gif"])
def test_claimed_sizes_that_the_data_does_not_fill_are_refused(name: str) -> None:
    refusal = answer(liar(name, 1_000, 1_000))
    assert isinstance(refusal, errors.PictureBroken) or name == "avif"


@pytest.mark.parametrize("name", ["png", "bmp", "gif", "jpeg"])
def test_no_pixels(name: str) -> None:
    refusal = answer(liar(name, 0, 0))
    assert isinstance(refusal, errors.PictureBroken) or name == "gif"


def test_a_jpeg_must_end() -> None:
    whole = sample("progressive jpeg")
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    for cut in scans:
        assert isinstance(answer(whole[:cut]), errors.PictureBroken)
        assert isinstance(answer(whole[: cut + 20]), errors.PictureBroken)


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    whole = bytearray(sample("png"))
    at = whole.find(b"IDAT")
    size = int.from_bytes(whole[at - 4 : at])
    whole[at + 4 + size] ^= 1
    assert isinstance(answer(bytes(whole)), errors.PictureBroken)
