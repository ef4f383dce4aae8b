"""The one thing wanted of EXIF: which side of the picture is up."""

from __future__ import annotations

import struct

from heliograph.adapters.imaging.outlines import UPRIGHT

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
_PREFIX = b"Exif\0\0"


def orientation(block: bytes) -> int:
    """The orientation, 1 to 8, of an EXIF block; 1 where it says none or makes no sense."""
    block = block.removeprefix(_PREFIX)
    endian = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if endian is None or len(block) < 8:
        return UPRIGHT
    (start,) = struct.unpack_from(f"{endian}L", block, 4)
    if start + 2 > len(block):
        return UPRIGHT
    (count,) = struct.unpack_from(f"{endian}H", block, start)
    fits = (len(block) - start - 2) // _ENTRY_BYTES
    for index in range(min(count, fits)):
        tag, kind, _, value = struct.unpack_from(f"{endian}HHLH", block, start + 2 + _ENTRY_BYTES * index)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
