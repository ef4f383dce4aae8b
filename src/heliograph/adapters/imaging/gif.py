"""GIF files (GIF89a): the screen and its first frame, the rest is dropped unread.

Comments cost a decoder time that grows with the square of their size, and frames may
be many; neither reaches it.
"""

from __future__ import annotations

from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, broken, truncated

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9
_SCREEN_END = 13
_IMAGE_HEADER = 10
_MAX_EXTENSIONS = 10_000
_MAX_SUB_BLOCKS = 500_000


def outline(data: bytes) -> Outline:
    """The file's account of itself: its screen, grown to hold the first frame.

    Raises:
        PictureBroken: it has no frame.
    """
    frame, _ = _first_frame(data)
    left, top, width, height = (_u16(data, frame + 1 + 2 * i) for i in range(4))
    screen_width, screen_height = _u16(data, 6), _u16(data, 8)
    if width == 0 or height == 0:
        raise broken("a frame without pixels")
    return Outline(
        format=Format.GIF, width=max(screen_width, left + width), height=max(screen_height, top + height)
    )


def pixels_only(data: bytes) -> bytes:
    """The file with nothing but its first frame.

    Raises:
        PictureBroken: the frame is incomplete.
    """
    frame, control = _first_frame(data)
    body = frame + _IMAGE_HEADER + _palette_bytes(data[frame + 9]) + 1
    if body > len(data):
        raise truncated()
    end = _skip_sub_blocks(data, body)
    return b"".join(
        [data[: _SCREEN_END + _palette_bytes(data[10])], control, data[frame:end], bytes((_TRAILER,))]
    )


def _first_frame(data: bytes) -> tuple[int, bytes]:
    """Where the first frame begins, and the graphic control extension in front of it."""
    if len(data) < _SCREEN_END:
        raise truncated()
    at = _SCREEN_END + _palette_bytes(data[10])
    control = b""
    for _ in range(_MAX_EXTENSIONS):
        if at + _IMAGE_HEADER >= len(data):
            raise truncated()
        if data[at] == _IMAGE:
            return at, control
        if data[at] != _EXTENSION:
            raise broken("a GIF without a frame")
        end = _skip_sub_blocks(data, at + 2)
        if data[at + 1] == _GRAPHIC_CONTROL:
            control = data[at:end]
        at = end
    raise broken("too many extensions")


def _skip_sub_blocks(data: bytes, at: int) -> int:
    """Where the chain of sub-blocks that begins at ``at`` ends."""
    for _ in range(_MAX_SUB_BLOCKS):
        if at >= len(data):
            raise truncated()
        length = data[at]
        at += 1 + length
        if length == 0:
            return at
    raise broken("too many blocks")


def _palette_bytes(flags: int) -> int:
    """How long the colour table is that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")
