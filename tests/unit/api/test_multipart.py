"""Multipart bodies: whatever was put in comes out, and nothing else does harm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.api.multipart import parse_multipart
from heliograph.core import errors

TYPE = "multipart/form-data; boundary=x1"
names = st.text(
    st.characters(codec="utf-8", exclude_characters='"\r\n\\', exclude_categories=["C"]), min_size=1
)
parts = st.lists(st.tuples(names, st.none() | names, st.binary(max_size=200)), max_size=6)


def write(fields: list[tuple[str, str | None, bytes]]) -> bytes:
    body = b""
    for name, filename, data in fields:
        file = "" if filename is None else f'; filename="{filename}"'
        body += (
            f'--x1\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return body + b"--x1--\r\n"


@settings(max_examples=100, deadline=None)
@given(parts)
def test_what_was_put_in_comes_out(fields: list[tuple[str, str | None, bytes]]) -> None:
    fields = [field for field in fields if b"\r\n--x1" not in b"\r\n" + field[2]]
    read = parse_multipart(write(fields), TYPE, max_parts=6)
    assert [part.data for part in read] == [data for _, _, data in fields]
    for part, (name, filename, _) in zip(read, fields, strict=True):
        if all(character not in name for character in "%;="):
            assert part.name == name
        assert (part.filename is None) == (filename is None)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_noise_is_refused_or_read_and_never_worse(noise: bytes, at: int) -> None:
    whole = write([("image", "a.png", b"data")])
    for body in (noise, whole[:at] + noise + whole[at:], whole[:at]):
        try:
            read = parse_multipart(body, TYPE, max_parts=3)
        except errors.RequestError:
            continue
        assert len(read) <= 3


@pytest.mark.parametrize("piece", [b"\r", b"\n", b"\r\n-", b"\r\n--x", b"\r\n--x\r\n", b"x1", b"\0"])
def test_what_looks_like_a_boundary_costs_no_more_than_other_bytes(piece: bytes) -> None:
    """A parser that hands out each piece apart would take minutes and gigabytes for 64 MB of these."""
    data = piece * (1_000_000 // len(piece))
    body = write([("image", "a", data)])
    began = time.perf_counter()
    assert [part.data for part in parse_multipart(body, TYPE, max_parts=1)] == [data]
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "a" * 1000,
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=y",
    ],
)
def test_a_wrong_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(errors.RequestMalformed):
        parse_multipart(write([("image", None, b"a")]), content_type, max_parts=3)


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: text/plain",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; name*=utf-8''a",
        "A: b\r\n" * 1000 + 'Content-Disposition: form-data; name="a"',
        'Content-Disposition: form-data; name="' + "a" * 100_000 + '"',
    ],
)
def test_a_part_with_a_wrong_head_is_refused(head: str) -> None:
    with pytest.raises(errors.RequestMalformed):
        parse_multipart(f"--x1\r\n{head}\r\n\r\ndata\r\n--x1--\r\n".encode(), TYPE, max_parts=3)


def test_one_part_too_many_is_refused() -> None:
    with pytest.raises(errors.TooManyPictures):
        parse_multipart(write([("image", None, b"a")] * 4), TYPE, max_parts=3)
