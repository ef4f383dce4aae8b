"""JPEG files (ITU-T T.81): their markers, walked strictly because the decoders are lenient.

libjpeg fills what is missing with grey and goes on, so a file counts as complete only
if its last scan is followed by the end marker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from heliograph.adapters.imaging import exif
from heliograph.adapters.imaging.formats import Format
from heliograph.adapters.imaging.outlines import Outline, broken, truncated
from heliograph.core import errors
from heliograph.core.pictures import MEGABYTE

_SOI = b"\xff\xd8"
_EOI, _SOS, _DHT, _JPG, _DAC = 0xD9, 0xDA, 0xC4, 0xC8, 0xCC
_APP0, _APP1, _APP2, _APP14, _APP15, _COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_LOWEST = 0xC0
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_ICC_PREFIX = b"ICC_PROFILE\0"

_LEAST_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}
"""How many bits each block of a Huffman-coded frame takes at least: a code for its first
coefficient, and unless it is progressive one for the end of the block."""

MAX_SEGMENTS = 20_000
MAX_SCANS = 1_000
MAX_SCANNED_PIXELS = 2_000_000_000
"""Scans times pixels: each scan of a progressive picture passes over all of it."""
MAX_COEFFICIENT_BYTES = 320 * MEGABYTE


@dataclass(slots=True, kw_only=True)
class JpegFile:
    """A JPEG's header segments, up to its first scan.

    ``kept`` are those that the pixels need; ``scans_at`` is where the first scan begins.
    """

    width: int = 0
    height: int = 0
    components: int = 0
    precision: int = 0
    frame: int = 0
    blocks: int = 0
    exif: bytes | None = None
    scans_at: int = 0
    kept: list[bytes] = field(default_factory=list)
    profile_parts: list[bytes] = field(default_factory=list)

    @property
    def is_ordinary(self) -> bool:
        """Whether it is 8-bit YCbCr, RGB or grey."""
        return self.precision == 8 and self.components in {1, 3}

    @property
    def outline(self) -> Outline:
        """The file's account of itself."""
        return Outline(
            format=Format.JPEG,
            width=self.width,
            height=self.height,
            orientation=exif.orientation(self.exif or b""),
            profile=_join_profile(self.profile_parts),
        )


def read(data: bytes) -> JpegFile:
    """The header segments of a JPEG.

    Raises:
        PictureBroken: there is no frame or no scan.
    """
    file = JpegFile()
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker, at = _marker(data, at)
        if marker in _ALONE:
            continue
        if marker == _EOI:
            raise broken("a JPEG without a scan")
        end = _segment_end(data, at)
        if marker == _SOS:
            file.scans_at = at - 2
            return _checked(file)
        _take(file, marker, data[at:end])
        at = end
    raise broken("too many segments")


def pixels_only(data: bytes, file: JpegFile) -> bytes:
    """The file without metadata, strictly checked to its end marker; what follows is cut off.

    Raises:
        PictureBroken: the file is incomplete.
        PictureTooManyPixels: it has so many scans that decoding would take too long.
    """
    end, scans = _walk_scans(data, file.scans_at)
    if scans > MAX_SCANS or scans * file.width * file.height > MAX_SCANNED_PIXELS:
        raise errors.PictureTooManyPixels(f"The picture is stored in {scans:,} scans, which is too many.")
    if 8 * (end - file.scans_at) < file.blocks * _LEAST_BITS.get(file.frame, 0):
        raise broken("it has less data than its size takes")
    return b"".join([_SOI, *file.kept, memoryview(data)[file.scans_at : end]])


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """The next marker from ``at`` on and where its segment begins; junk before it is skipped."""
    found = _MARKER.search(data, at)
    if found is None:
        raise truncated()
    return data[found.end() - 1], found.end()


def _segment_end(data: bytes, at: int) -> int:
    """Where the segment ends whose length stands at ``at``."""
    length = int.from_bytes(data[at : at + 2])
    if at + 2 > len(data) or at + length > len(data):
        raise truncated()
    if length < 2:
        raise broken("a segment without a length")
    return at + length


def _take(file: JpegFile, marker: int, segment: bytes) -> None:
    """Notes what a header segment (with its length in front) says."""
    body = segment[2:]
    if marker in _FRAMES:
        _take_frame(file, marker, body)
    elif marker == _APP1 and file.exif is None and body.startswith(b"Exif\0"):
        file.exif = body
    elif marker == _APP2 and body.startswith(_ICC_PREFIX):
        file.profile_parts.append(body[len(_ICC_PREFIX) :])
    if marker in {_APP0, _APP14} or not (_APP0 <= marker <= _APP15 or marker == _COM):
        file.kept.append(bytes((0xFF, marker)) + segment)


def _take_frame(file: JpegFile, marker: int, body: bytes) -> None:
    """Notes what the frame header says (T.81, B.2.2)."""
    if file.frame:
        raise broken("two frames in one JPEG")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise broken("a frame header that is too short")
    file.frame, file.precision, file.components = marker, body[0], body[5]
    file.height, file.width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    samplings = [(factors >> 4, factors & 15) for factors in body[7 : 6 + 3 * body[5] : 3]]
    widest = max((across for across, _ in samplings), default=1) or 1
    tallest = max((down for _, down in samplings), default=1) or 1
    for across, down in samplings:
        columns = -(-file.width * across // (8 * widest))
        file.blocks += columns * -(-file.height * down // (8 * tallest))


def _checked(file: JpegFile) -> JpegFile:
    """``file`` if it has a frame that a decoder can hold in memory."""
    if not file.frame:
        raise broken("a scan before any frame")
    coefficients = 2 * file.width * file.height * file.components
    if file.frame in _PROGRESSIVE and coefficients > MAX_COEFFICIENT_BYTES:
        raise errors.PictureTooManyPixels(
            f"The picture is a progressive JPEG of {file.width} × {file.height}, "
            "which takes too much memory to decode."
        )
    return file


def _walk_scans(data: bytes, at: int) -> tuple[int, int]:
    """Where the end marker ends, and how many scans there are, from the first scan on."""
    scans = 0
    for _ in range(MAX_SEGMENTS):
        found = _MARKER_IN_SCAN.search(data, at)
        if found is None:
            raise truncated()
        at = found.end()
        marker = data[at - 1]
        if marker == _EOI:
            return at, scans
        if marker in _FRAMES or marker < _LOWEST:
            raise broken("a marker where none may be")
        scans += marker == _SOS
        at = _segment_end(data, at)
    raise broken("too many segments")


def _join_profile(parts: list[bytes]) -> bytes | None:
    """The ICC profile of its numbered parts (ICC.1:2010, B.4), or None if they do not fit together."""
    ordered = sorted(part for part in parts if len(part) > 2)
    numbers = [part[0] for part in ordered]
    if not ordered or numbers != list(range(1, ordered[0][1] + 1)):
        return None
    return b"".join(part[2:] for part in ordered)
