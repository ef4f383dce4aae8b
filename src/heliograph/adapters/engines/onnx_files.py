"""Reads an ONNX file as bytes, refusing one that would make a runtime open other files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heliograph.core import errors

# Which fields of which message of onnx.proto lead to a TensorProto.
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_DATA_LOCATION = 14

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def read(path: Path) -> bytes:
    """The file's bytes, all of its weights inside.

    Both runtimes follow "external data" from the current folder even when they get bytes,
    to any file that the model names; so such a model is refused before they see it.

    Raises:
        ModelInvalid: it cannot be read, is not ONNX, or keeps weights in other files.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise errors.ModelInvalid(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        external = _has_external_data(memoryview(data))
    except (IndexError, ValueError) as error:
        raise errors.ModelInvalid(f"{path.name} is not an ONNX file, or it is cut off.") from error
    if external:
        raise errors.ModelInvalid(f"{path.name} keeps weights in other files; save it as one file.")
    return data


def _has_external_data(data: memoryview) -> bool:
    # A stack rather than recursion, so that nested graphs cannot exhaust Python's.
    stack = [("model", data)]
    while stack:
        kind, message = stack.pop()
        inner = _FIELDS[kind]
        for field, value in _fields(message):
            if isinstance(value, int):
                if kind == "tensor" and field == _DATA_LOCATION and value != 0:
                    return True
            elif field in inner:
                stack.append((inner[field], value))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value of each varint and length-delimited field of a protobuf message."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        wire_type = tag & 7
        if wire_type == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
        elif wire_type == _LENGTH:
            size, at = _varint(message, at)
            if size > end - at:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, message[at : at + size]
            at += size
        elif wire_type in {_EIGHT_BYTES, _FOUR_BYTES}:
            at += 8 if wire_type == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire_type}")
    if at != end:
        raise ValueError("a field is longer than its message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than ten bytes")
