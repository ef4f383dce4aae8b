"""Small files that would cost a naive decoder minutes or gigabytes are answered at once."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core import errors
from heliograph.core.pictures import PictureHeader, PictureLimits

CODEC = PictureCodec(PictureLimits())
SECONDS = 3.0
MEMORY = """
import resource, sys
import numpy as np
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.core import errors
from heliograph.core.pictures import PictureLimits
codec = PictureCodec(PictureLimits())
data = sys.stdin.buffer.read()
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try:
    codec.decode(data, codec.inspect(data))
except errors.PictureError:
    pass
print((peak() - before) * (1 if sys.platform == "darwin" else 1024))
"""


def saved(kind: str, *, size: tuple[int, int] = (16, 16), mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    whole = saved("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def gif_with(blocks: bytes) -> bytes:
    whole = saved("GIF", mode="P")
    frame = whole.find(b"\x2c\0\0\0\0\x10\0\x10\0")
    return whole[:frame] + blocks + whole[frame:]


def jpeg_with(segments: bytes, *, progressive: bool = False) -> bytes:
    whole = saved("JPEG", progressive=progressive)
    return whole[:2] + segments + whole[2:]


def many_scans() -> bytes:
    """A progressive JPEG that repeats its last scan."""
    whole = saved("JPEG", progressive=True)
    last = whole[whole.rfind(b"\xff\xda") : -2]
    return whole[:-2] + last * 2000 + b"\xff\xd9"


def huge_exif() -> bytes:
    """Five thousand tags of 60 kB each, all in the same place."""
    tags = b"".join(struct.pack("<HHII", 1000 + i, 2, 60_000, 8) for i in range(5000))
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5000) + tags
    return (b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block) * 200


def tiff_with(changes: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A small grey TIFF whose tags are replaced: tag → type, count, value."""
    tags = {256: (4, 1, 9), 257: (4, 1, 9), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    tags |= {277: (3, 1, 1), 278: (4, 1, 9), 279: (4, 1, 81)} | changes
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + tail


def bmp_runs() -> bytes:
    """Millions of runs of one pixel each."""
    body = b"\x01\x05" * 5_000_000
    sizes = struct.pack("<iiHHI", 8000, 6000, 1, 8, 1)
    return b"BM" + struct.pack("<IIII", 1078 + len(body), 0, 1078, 40) + sizes + bytes(20 + 1024) + body


def webp_with(chunks: bytes) -> bytes:
    body = saved("WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(body)) + b"WEBP" + chunks + body


def avif_with(boxes: bytes) -> bytes:
    whole = saved("AVIF")
    first = int.from_bytes(whole[:4])
    return whole[:first] + boxes + whole[first:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "gif: comment of full blocks": lambda: gif_with(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 70_000 + b"\0"),
    "gif: comment of small blocks": lambda: gif_with(b"\x21\xfe" + b"\x01a" * 9_000_000 + b"\0"),
    "gif: many extensions": lambda: gif_with(b"\x21\xfe\0" * 6_000_000),
    "gif: junk": lambda: gif_with(b"\x07" * 18_000_000),
    "png: many chunks": lambda: png_with(chunk(b"abCd", b"") * 1_500_000),
    "png: many empty data chunks": lambda: png_with(chunk(b"IDAT", b"") * 90_000),
    "png: many packed texts": lambda: png_with(
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000))) * 2000
    ),
    "png: many packed profiles": lambda: png_with(
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000))) * 99
    ),
    "jpeg: fill bytes": lambda: jpeg_with(b"\xff" * 19_000_000),
    "jpeg: many segments": lambda: jpeg_with(b"\xff\xe5\0\2" * 4_500_000),
    "jpeg: junk between segments": lambda: jpeg_with(b"\xff\xe5\0\2" + b"a" * 19_000_000),
    "jpeg: huge exif": lambda: jpeg_with(huge_exif()),
    "jpeg: many scans": many_scans,
    "jpeg: restart markers": lambda: saved("JPEG")[:-2] + b"\xff\xd0" * 9_000_000 + b"\xff\xd9",
    "tiff: huge tags": lambda: tiff_with(dict.fromkeys(range(1000, 4000), (2, 9000000, 8)), bytes(9_500_000)),
    "tiff: many strips": lambda: tiff_with(
        {273: (4, 2_000_000, 8), 279: (4, 2_000_000, 8)}, bytes(9_000_000)
    ),
    "tiff: huge tiles": lambda: tiff_with({322: (4, 1, 2_000_000_000), 323: (4, 1, 16)}),
    "tiff: many tiles": lambda: tiff_with(
        {256: (4, 1, 9000), 257: (4, 1, 5000), 322: (4, 1, 16), 323: (4, 1, 16), 324: (4, 1, 8)}
    ),
    "tiff: no tile size": lambda: tiff_with({322: (4, 1, 0), 323: (4, 1, 0)}),
    "tiff: directory in itself": lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "bmp: many runs": bmp_runs,
    "webp: many chunks": lambda: webp_with(b"abcd\0\0\0\0" * 2_000_000),
    "avif: many boxes": lambda: avif_with(b"\0\0\0\x08free" * 2_000_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_answered_in_time(name: str) -> None:
    data = BOMBS[name]()
    started = time.process_time()
    header: PictureHeader | None = None
    with suppress(errors.PictureBroken, errors.PictureTooManyPixels):
        header = CODEC.inspect(data)
        CODEC.decode(data, header)
    assert time.process_time() - started < SECONDS
    assert header is None or max(header.width, header.height) <= 9_000


def large(kind: str, **options: Any) -> bytes:
    """A legal picture of 48 megapixels that packs well."""
    pixels = np.zeros((6000, 8000, 4 if kind == "PNG" else 3), np.uint8)
    pixels[::50] = 200
    file = BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"progressive": True, "subsampling": 0}), ("PNG", {"compress_level": 1})],
)
def test_large_pictures_fit_in_memory(kind: str, options: dict[str, Any]) -> None:
    child = subprocess.run(
        [sys.executable, "-c", MEMORY], input=large(kind, **options), capture_output=True, check=True
    )
    assert int(child.stdout) < 500_000_000


@pytest.mark.parametrize(
    "data",
    [tiff_with(dict.fromkeys(range(1000, 3000), (2, 9000000, 8)), bytes(9_500_000)), jpeg_with(huge_exif())],
    ids=["tiff tags", "jpeg exif"],
)
def test_metadata_bombs_fit_in_memory(data: bytes) -> None:
    child = subprocess.run([sys.executable, "-c", MEMORY], input=data, capture_output=True, check=True)
    assert int(child.stdout) < 100_000_000
