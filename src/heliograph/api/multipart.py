"""A multipart body that is already in memory, as parts; bounded in number, nothing touches the disk."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from heliograph.core import errors


@dataclass(slots=True)
class Part:
    """One part: its field name, its file name (None for a plain field) and its bytes."""

    name: str
    filename: str | None
    data: bytes


@dataclass(slots=True)
class _Collector:
    """Receives the parser's callbacks."""

    max_parts: int
    parts: list[Part] = field(default_factory=list)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    pieces: list[memoryview] = field(default_factory=list)
    finished: bool = False

    def on_part_begin(self) -> None:
        if len(self.parts) >= self.max_parts:
            raise errors.TooManyPictures(f"The request has more than {self.max_parts} parts.")
        self.disposition = b""
        self.pieces = []

    def on_header_begin(self) -> None:
        self.header_name.clear()
        self.header_value.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.header_value += data[start:end]

    def on_header_end(self) -> None:
        if bytes(self.header_name).lower() == b"content-disposition":
            self.disposition = bytes(self.header_value)

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.pieces.append(memoryview(data)[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self.disposition)
        if b"name" not in options:
            raise errors.RequestMalformed("A part of the multipart body has no name.")
        filename = options.get(b"filename")
        self.parts.append(
            Part(
                name=options[b"name"].decode("utf-8", "replace"),
                filename=None if filename is None else filename.decode("utf-8", "replace"),
                data=b"".join(self.pieces),
            )
        )

    def on_end(self) -> None:
        self.finished = True


def parse_multipart(body: bytes, content_type: str, *, max_parts: int) -> list[Part]:
    """The parts of a multipart/form-data body.

    Raises:
        RequestMalformed: the body or its boundary is not right, or its end is missing.
        TooManyPictures: there are more than ``max_parts`` parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise errors.RequestMalformed("The multipart body has no boundary in its Content-Type.")
    collector = _Collector(max_parts)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.on_part_begin,
                "on_header_begin": collector.on_header_begin,
                "on_header_field": collector.on_header_field,
                "on_header_value": collector.on_header_value,
                "on_header_end": collector.on_header_end,
                "on_part_data": collector.on_part_data,
                "on_part_end": collector.on_part_end,
                "on_end": collector.on_end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise errors.RequestMalformed(f"The multipart body is broken: {errors.excerpt(error)}.") from None
    if not collector.finished:
        raise errors.RequestMalformed("The multipart body ends before its last boundary.")
    return collector.parts
