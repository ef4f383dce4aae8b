"""WebP files (RFC 9649): the first frame as a still picture, without metadata.

A decoder of animations holds several canvases at a time; a still picture needs one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from heliograph.adapters.imaging import exif
from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import UPRIGHT, Outline, broken, truncated

_MAX_CHUNKS = 100_000
_ALPHA_FLAG = 0x10
_FRAME_HEADER = 16
_SIZE_WITHIN = {b"VP8 ": 10, b"VP8L": 5}
"""The bitstreams, and within how many bytes each says its size."""


class Chunk(NamedTuple):
    """Where a chunk lies: ``body`` to ``end`` is its data."""

    name: bytes
    body: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebpFile:
    """A WebP's first frame, and where on the canvas it lies."""

    outline: Outline
    left: int = 0
    top: int = 0
    width: int
    height: int
    chunks: tuple[Chunk, ...] = field(repr=False)


def read(data: bytes) -> WebpFile:
    """The canvas and the first frame of a WebP; pixel data is not read.

    Raises:
        PictureBroken: there is no frame, or the file ends too early.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise truncated()
    found = {chunk.name: chunk for chunk in reversed(list(_chunks(data, 12, end)))}
    canvas = found.get(b"VP8X")
    frame = found.get(b"ANMF")
    if canvas is not None and frame is not None and found.keys().isdisjoint(_SIZE_WITHIN):
        return _animation(data, found, canvas, frame)
    chunks = _still(found)
    width, height = _bitstream_size(data, chunks[-1])
    if canvas is not None and _canvas_size(data, canvas) != (width, height):
        raise broken("a WebP whose canvas and picture differ in size")
    return WebpFile(outline=_outline(data, found, (width, height)), width=width, height=height, chunks=chunks)


def pixels_only(data: bytes, file: WebpFile) -> bytes:
    """The first frame as a still WebP without metadata."""
    parts = [data[c.body - 8 : c.end] + b"\0" * ((c.end - c.body) & 1) for c in file.chunks]
    if len(file.chunks) > 1:
        size = (file.width - 1).to_bytes(3, "little") + (file.height - 1).to_bytes(3, "little")
        parts.insert(0, b"VP8X" + (10).to_bytes(4, "little") + bytes((_ALPHA_FLAG, 0, 0, 0)) + size)
    body = b"WEBP" + b"".join(parts)
    # OpenCV does not look at files of less than 32 bytes; what follows a WebP says nothing.
    return b"".join([b"RIFF", len(body).to_bytes(4, "little"), body, bytes(max(0, 24 - len(body)))])


def _animation(data: bytes, found: dict[bytes, Chunk], canvas: Chunk, frame: Chunk) -> WebpFile:
    """The first frame of an animation."""
    if frame.end - frame.body < _FRAME_HEADER:
        raise truncated()
    inner = {chunk.name: chunk for chunk in _chunks(data, frame.body + _FRAME_HEADER, frame.end)}
    chunks = _still(inner)
    width, height = _bitstream_size(data, chunks[-1])
    left, top = 2 * _u24(data, frame.body), 2 * _u24(data, frame.body + 3)
    canvas_width, canvas_height = _canvas_size(data, canvas)
    if left + width > canvas_width or top + height > canvas_height:
        raise broken("a frame outside the canvas")
    outline = _outline(data, found, (canvas_width, canvas_height))
    return WebpFile(outline=outline, left=left, top=top, width=width, height=height, chunks=chunks)


def _outline(data: bytes, found: dict[bytes, Chunk], size: tuple[int, int]) -> Outline:
    oriented = found.get(b"EXIF")
    profile = found.get(b"ICCP")
    return Outline(
        format=Format.WEBP,
        width=size[0],
        height=size[1],
        orientation=exif.orientation(data[oriented.body : oriented.end]) if oriented else UPRIGHT,
        profile=data[profile.body : profile.end] if profile else None,
    )


def _still(found: dict[bytes, Chunk]) -> tuple[Chunk, ...]:
    """The chunks that make one picture: its alpha, if that is apart, and its bitstream."""
    if b"VP8 " in found:
        alpha = found.get(b"ALPH")
        return (alpha, found[b"VP8 "]) if alpha else (found[b"VP8 "],)
    if b"VP8L" in found:
        return (found[b"VP8L"],)
    raise broken("a WebP without a picture")


def _bitstream_size(data: bytes, chunk: Chunk) -> tuple[int, int]:
    """Width and height that a bitstream says of itself (RFC 6386, 9.1; RFC 9649, 3.4)."""
    at = chunk.body
    if chunk.end - at < _SIZE_WITHIN[chunk.name]:
        raise truncated()
    if chunk.name == b"VP8L":
        bits = int.from_bytes(data[at + 1 : at + 5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(data[at + i : at + i + 2], "little") & 0x3FFF for i in (6, 8))
    return width, height


def _canvas_size(data: bytes, chunk: Chunk) -> tuple[int, int]:
    if chunk.end - chunk.body < 10:
        raise truncated()
    return _u24(data, chunk.body + 4) + 1, _u24(data, chunk.body + 7) + 1


def _chunks(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    """The chunks between two places, each wholly inside."""
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            return
        body = at + 8
        stop = body + int.from_bytes(data[at + 4 : body], "little")
        if stop > end:
            raise truncated()
        yield Chunk(data[at : at + 4], body, stop)
        at = stop + (stop & 1)
    raise broken("too many chunks")


def _u24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")
