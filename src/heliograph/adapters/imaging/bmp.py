"""BMP files: a header of fixed places."""

from __future__ import annotations

from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, truncated

_CORE_HEADER = 12
_RUN_LENGTHS = frozenset({1, 2})


def outline(data: bytes) -> Outline:
    """The file's account of itself.

    Raises:
        PictureBroken: the header is not whole.
    """
    if len(data) < 26:
        raise truncated()
    if int.from_bytes(data[14:18], "little") == _CORE_HEADER:
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
    else:
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    # A negative height says that the rows go from top to bottom.
    return Outline(format=Format.BMP, width=width, height=abs(height))


def is_packed(data: bytes) -> bool:
    """Whether the pixels are stored as run lengths."""
    return data[14] != _CORE_HEADER and int.from_bytes(data[30:34], "little") in _RUN_LENGTHS
