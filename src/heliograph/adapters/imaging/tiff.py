"""TIFF files (TIFF 6.0, BigTIFF): the first page, described anew by a directory of our own.

A directory may name tens of thousands of tags of many megabytes each, further pages and
sub-directories. The decoder gets the same pixels with a new directory that holds only
what the pixels need.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import UPRIGHT, Outline, broken, truncated
from heliograph.core.pictures import MEGABYTE, PictureLimits

_WIDTH, _HEIGHT, _ORIENTATION, _SAMPLES = 256, 257, 274, 277
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT, _PROFILE = 278, 322, 323, 34675
_EXTENTS = ((273, 279), (324, 325))
_NEEDED = frozenset({
    256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320,  # sizes, strips, palette
    322, 323, 324, 325, 332, 338, 339, 340, 341, 347, 529, 530, 531, 532,  # tiles, samples, JPEG, YCbCr
    512, 513, 514, 515, 517, 518, 519, 520, 521,  # JPEG of the old style
})  # fmt: skip
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_INTEGERS = {1: "B", 3: "H", 4: "L", 16: "Q"}
_MAX_ENTRIES = 4_096
_MAX_PIECES = 32_768
_MAX_SAMPLES = 6
_MAX_PROFILE_BYTES = 4 * MEGABYTE


class _Layout(NamedTuple):
    """How this kind of TIFF packs its directories: classic, or BigTIFF with 64-bit places."""

    endian: str
    length: str
    entry: str
    place: str


class Entry(NamedTuple):
    """One tag: its number, its type, how many values, and their bytes."""

    tag: int
    kind: int
    amount: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffFile:
    """The tags of a TIFF's first page that are understood."""

    layout: _Layout
    entries: dict[int, Entry] = field(repr=False)

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag of whole numbers, or ``default``."""
        entry = self.entries.get(tag)
        code = _INTEGERS.get(entry.kind) if entry else None
        if entry is None or code is None or entry.amount < 1:
            return default
        return int(struct.unpack_from(self.layout.endian + code, entry.value)[0])

    def numbers(self, tag: int) -> tuple[int, ...]:
        """All values of a tag of whole numbers; none where it is missing."""
        entry = self.entries.get(tag)
        code = _INTEGERS.get(entry.kind) if entry else None
        if entry is None or code is None:
            return ()
        return struct.unpack_from(f"{self.layout.endian}{entry.amount}{code}", entry.value)

    @property
    def outline(self) -> Outline:
        """The file's account of itself."""
        orientation = self.number(_ORIENTATION, UPRIGHT)
        profile = self.entries.get(_PROFILE)
        bits = max(1, self.number(_BITS, 1))
        return Outline(
            format=Format.TIFF,
            width=self.number(_WIDTH),
            height=self.number(_HEIGHT),
            orientation=orientation if 1 <= orientation <= 8 else UPRIGHT,
            profile=profile.value if profile else None,
            brightest=(1 << min(bits, 16)) - 1,
            is_negative=bits > 8 and self.number(_PHOTOMETRIC, _WHITE_IS_ZERO + 1) == _WHITE_IS_ZERO,
        )


def read(data: bytes) -> TiffFile:
    """The first directory of a TIFF.

    Raises:
        PictureBroken: it is not whole, or its sizes make no sense.
    """
    endian = "<" if data[:2] == b"II" else ">"
    if data[2:4] in {b"+\0", b"\0+"}:
        layout, place_at = _Layout(endian, "Q", "HHQ8s", "Q"), 8
    else:
        layout, place_at = _Layout(endian, "H", "HHL4s", "L"), 4
    try:
        (start,) = struct.unpack_from(endian + layout.place, data, place_at)
        entries = {entry.tag: entry for entry in _entries(data, layout, start)}
        file = TiffFile(layout=layout, entries=entries)
        _check_pieces(file)
        _check_extents(file, len(data))
    except struct.error:
        raise truncated() from None
    return file


def pixels_only(data: bytes, file: TiffFile) -> bytes:
    """The file with a new directory at its end, of nothing but what the pixels need."""
    layout = file.layout
    kept = [entry for tag, entry in sorted(file.entries.items()) if tag in _NEEDED]
    start = len(data) + (len(data) & 1)
    inline = struct.calcsize("=" + layout.place)
    values_at = start + struct.calcsize("=" + layout.length) + inline
    values_at += len(kept) * struct.calcsize("=" + layout.entry)
    directory = [struct.pack(layout.endian + layout.length, len(kept))]
    values: list[bytes] = []
    for entry in kept:
        value = entry.value
        if len(value) > inline:
            values.append(value + b"\0" * (len(value) & 1))
            value = struct.pack(layout.endian + layout.place, values_at)
            values_at += len(values[-1])
        directory.append(
            struct.pack(layout.endian + layout.entry, entry.tag, entry.kind, entry.amount, value)
        )
    directory.append(b"\0" * inline)
    head = data[: 8 if inline == 8 else 4] + struct.pack(layout.endian + layout.place, start)
    return b"".join([head, memoryview(data)[len(head) :], b"\0" * (start - len(data)), *directory, *values])


def _entries(data: bytes, layout: _Layout, start: int) -> Iterator[Entry]:
    """The tags that are wanted; each may be at most as long as is reasonable for it."""
    endian = layout.endian
    if start > len(data):
        raise truncated()
    (count,) = struct.unpack_from(endian + layout.length, data, start)
    if count > _MAX_ENTRIES:
        raise broken("too many tags")
    first = start + struct.calcsize("=" + layout.length)
    step = struct.calcsize("=" + layout.entry)
    inline = struct.calcsize("=" + layout.place)
    for index in range(count):
        tag, kind, values, value = struct.unpack_from(endian + layout.entry, data, first + index * step)
        if tag not in _NEEDED and tag not in {_ORIENTATION, _PROFILE}:
            continue
        size = values * _TYPE_BYTES.get(kind, 1)
        if size > inline:
            (at,) = struct.unpack(endian + layout.place, value)
            if tag == _PROFILE and size > _MAX_PROFILE_BYTES:
                continue
            if values > 4 * _MAX_PIECES and tag != _PROFILE:
                raise broken("a tag with too many values")
            if at + size > len(data):
                raise truncated()
            value = data[at : at + size]
        yield Entry(tag, kind, values, value)


def _check_pieces(file: TiffFile) -> None:
    """Raises `PictureBroken` for strips, tiles or samples that no honest file has."""
    width, height = file.number(_WIDTH), file.number(_HEIGHT)
    if file.number(_SAMPLES, 1) > _MAX_SAMPLES:
        raise broken("too many samples per pixel")
    if _TILE_WIDTH in file.entries or _TILE_HEIGHT in file.entries:
        tile_width, tile_height = file.number(_TILE_WIDTH), file.number(_TILE_HEIGHT)
        PictureLimits().check_size(tile_width, tile_height)
        pieces = -(-width // tile_width) * -(-height // tile_height)
    else:
        pieces = -(-height // max(1, file.number(_ROWS_PER_STRIP, height)))
    if pieces > _MAX_PIECES:
        raise broken("too many tiles or strips")


def _check_extents(file: TiffFile, size: int) -> None:
    """Raises `PictureBroken` where a strip or tile goes beyond the end of the file.

    The decoder would not notice: it finds the new directory there.
    """
    for offsets, lengths in _EXTENTS:
        starts, counts = file.numbers(offsets), file.numbers(lengths)
        if max(map(add, starts, counts), default=0) > size or max(starts, default=0) > size:
            raise truncated()
