"""PNG files (W3C PNG, third edition): their chunks, of which only a few reach the decoder.

Text, animation frames and unknown chunks are dropped unread, so neither compressed text
nor frame counts can be used as bombs; what is kept has its checksum checked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from heliograph.adapters.imaging import exif
from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, broken, truncated
from heliograph.core.pictures import MEGABYTE

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_TOLD = frozenset({b"eXIf", b"iCCP"})
_ANCILLARY = 0x20
_MAX_CHUNKS = 100_000
MAX_PROFILE_BYTES = 4 * MEGABYTE


class Chunk(NamedTuple):
    """Where a chunk lies: ``body`` to ``end`` is its data, then four bytes of checksum."""

    name: bytes
    body: int
    end: int


def outline(data: bytes) -> Outline:
    """The file's account of itself; only chunk headers are read.

    Raises:
        PictureBroken: it does not begin as a PNG must.
    """
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise broken("a PNG without a header")
    # Either may stand there once, so the last one is as good as any, and only one is unpacked.
    found = {chunk.name: data[chunk.body : chunk.end] for chunk in _chunks(data) if chunk.name in _TOLD}
    return Outline(
        format=Format.PNG,
        width=int.from_bytes(data[16:20]),
        height=int.from_bytes(data[20:24]),
        orientation=exif.orientation(found.get(b"eXIf", b"")),
        profile=_profile(found.get(b"iCCP", b"")),
    )


def pixels_only(data: bytes) -> bytes:
    """The file with nothing but the chunks that its pixels need, its data in one piece.

    Pillow cannot read data cut into the smallest pieces, and takes long to try.

    Raises:
        PictureBroken: one of them has a wrong checksum, or the end is missing.
    """
    view = memoryview(data)
    before: list[bytes | memoryview] = [_SIGNATURE]
    pieces: list[memoryview] = []
    is_deep_rgb = data[24:26] == b"\x10\x02"
    name = b""
    for name, body, end in _chunks(data):
        if name not in _NEEDED:
            if not name[0] & _ANCILLARY:
                raise broken("a critical chunk that is not known")
            continue
        if zlib.crc32(view[body - 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise broken("a chunk with a wrong checksum")
        if name == b"IDAT":
            pieces.append(view[body:end])
        elif name == b"tRNS" and is_deep_rgb:
            before += _packed(name, _to_8_bit(view[body:end]))
        elif not pieces:
            before.append(view[body - 8 : end + 4])
    if name != b"IEND":
        raise truncated()
    return b"".join([*before, *_packed(b"IDAT", b"".join(pieces)), *_packed(b"IEND", b"")])


def _to_8_bit(colour: memoryview) -> bytes:
    """The transparent colour of 16 bits a sample as Pillow reads the samples: without their low bytes."""
    return b"".join(b"\0" + colour[at : at + 1] for at in range(0, len(colour), 2))


def _packed(name: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """A chunk, ready to be joined."""
    checksum = zlib.crc32(body, zlib.crc32(name))
    return len(body).to_bytes(4), name, body, checksum.to_bytes(4)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks up to IEND, or up to where the file ends or stops making sense."""
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        body = at + 8
        end = body + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            return
        name = data[at + 4 : body]
        yield Chunk(name, body, end)
        if name == b"IEND":
            return
        at = end + 4
    raise broken("too many chunks")


def _profile(body: bytes) -> bytes | None:
    """The ICC profile of an iCCP chunk; None if it is broken or larger than a profile is."""
    _, _, rest = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
