"""Bodies in JSON, parameters, hosts and origins."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from heliograph.api import parameters
from heliograph.api.access import bearer_key, check_host, check_origin, host_name
from heliograph.api.uploads import Upload, UploadLimits, read_upload
from heliograph.core import errors
from heliograph.core.predictions import CutoutOutput, PictureFormat
from heliograph.serving.admission import Admission

LIMITS = UploadLimits(max_bytes=1_000_000, max_pictures=8, timeout_seconds=5)


async def read(
    body: bytes,
    content_type: str,
    query: str = "",
    *,
    chunk: int = 1 << 20,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Upload:
    """What `read_upload` makes of a body that arrives in chunks."""
    pieces = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Message:
        return messages.pop(0)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/classify",
        "query_string": query.encode(),
        "headers": [(b"content-type", content_type.encode()), *headers],
    }
    admission = Admission(max_in_flight=1, max_body_bytes=2_000_000, clock=lambda: 0.0)
    with admission.admit() as permit:
        upload = await read_upload(Request(scope, receive), LIMITS, permit)
        assert permit.held_bytes == len(body)
    return upload


FORM = "multipart/form-data; boundary=b"
PART = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n1\r\n'


@pytest.mark.parametrize(
    ("body", "content_type", "query"),
    [
        (b"x", "image/png", "top=1&model=a&top=5"),
        (b'{"image": "QQ==", "top": 1, "top": 1}', "application/json", ""),
        (b'{"image": "QQ==", "top": 1, "image": "Qg=="}', "application/json", ""),
        ("".join(PART.format(name) for name in ("image", "top", "top")).encode() + b"--b--", FORM, ""),
        (
            "".join(PART.format(n) for n in ("image", "background_image", "background_image")).encode()
            + b"--b--",
            FORM,
            "",
        ),
    ],
    ids=["query", "JSON", "pictures in JSON", "form", "attachments"],
)
async def test_what_is_there_twice_is_refused(body: bytes, content_type: str, query: str) -> None:
    with pytest.raises(errors.ParameterInvalid, match="is there twice"):
        await read(body, content_type, query)


async def test_compressed_bodies_are_refused_by_that_name() -> None:
    with pytest.raises(errors.RequestMalformed, match="compressed"):
        await read(b"x", "image/png", headers=[(b"content-encoding", b"gzip")])
    await read(b"x", "image/png", headers=[(b"content-encoding", b"identity")])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8), st.integers(1, 50))
async def test_json_pictures_come_out_as_they_went_in(pictures: list[bytes], chunk: int) -> None:
    texts = [base64.b64encode(picture).decode() for picture in pictures]
    body = json.dumps({"image": texts, "top": 2, "model": "a"}).encode()
    upload = await read(body, "application/json; charset=utf-8", "top=7&other=x", chunk=chunk)
    assert [picture.data for picture in upload.pictures] == pictures
    assert upload.parameters == {"top": "2", "model": "a", "other": "x"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(document=json_values | st.fixed_dictionaries({"image": json_values, "background_image": json_values}))
async def test_any_json_is_read_or_refused(document: object) -> None:
    try:
        upload = await read(json.dumps(document).encode(), "application/json")
    except errors.RequestError:
        return
    assert upload.pictures


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
async def test_any_bytes_as_json_are_read_or_refused(body: bytes) -> None:
    with pytest.raises(errors.RequestError):
        await read(body, "application/json")


@pytest.mark.parametrize("piece", [b"[],", b'"",', b"{},", b'{"a":'])
async def test_json_does_not_become_many_times_its_size_in_memory(piece: bytes) -> None:
    body = b'{"image":[' + piece * (900_000 // len(piece))
    tracemalloc.start()
    try:
        with pytest.raises(errors.RequestMalformed):
            await read(body, "application/json")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


async def test_more_parameters_than_anybody_needs_are_refused() -> None:
    query = "&".join(f"a{number}=1" for number in range(40))
    with pytest.raises(errors.ParameterInvalid, match="32"):
        await read(b"picture", "", query)


@pytest.mark.parametrize(("text", "top"), [("1", 1), ("1000", 1000), ("007", 7), (None, 3)])
def test_top(text: str | None, top: int) -> None:
    assert parameters.read_top({} if text is None else {"top": text}) == top


@pytest.mark.parametrize("text", ["", "0", "1001", "-1", "1.0", "+1", " 1", "1_0", "٣", "99999999999", "³"])
def test_top_is_a_plain_number(text: str) -> None:
    with pytest.raises(errors.ParameterInvalid):
        parameters.read_top({"top": text})


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#ff8000", (255, 128, 0)),
        ("FF8000", (255, 128, 0)),
        (" #fff ", (255, 255, 255)),
        ("123", (17, 34, 51)),
    ],
)
def test_colours(text: str, colour: tuple[int, int, int]) -> None:
    options = parameters.read_cutout_options(Upload(parameters={"background": text, "format": "WebP"}))
    assert options.background == colour
    assert (options.format, options.output) == (PictureFormat.WEBP, CutoutOutput.CUTOUT)


@pytest.mark.parametrize(
    "text", ["", "#", "#ff", "#fffff", "#gggggg", "red", "#ffffff00", "##fff", "#fff\n#"]
)
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(errors.ParameterInvalid):
        parameters.read_cutout_options(Upload(parameters={"background": text}))


@pytest.mark.parametrize(("text", "wanted"), [("true", True), ("False", False), (None, True)])
def test_flags(text: str | None, wanted: bool) -> None:
    given = {} if text is None else {"decontaminate": text}
    assert parameters.read_cutout_options(Upload(parameters=given)).decontaminate is wanted


@pytest.mark.parametrize("text", ["", "1", "yes", "true "])
def test_what_is_no_flag(text: str) -> None:
    with pytest.raises(errors.ParameterInvalid, match="`decontaminate` must be `true` or `false`"):
        parameters.read_cutout_options(Upload(parameters={"decontaminate": text}))


def test_an_unknown_parameter_is_named_with_those_that_exist() -> None:
    with pytest.raises(errors.ParameterInvalid, match=r"'tpo'.*top"):
        parameters.check_known(Upload(parameters={"tpo": "1"}), parameters.CLASSIFY)
    with pytest.raises(errors.ParameterInvalid, match="background_image"):
        parameters.check_known(Upload(attachments={"background_image": b""}), parameters.CLASSIFY)
    parameters.check_known(Upload(attachments={"background_image": b""}), parameters.REMOVE_BACKGROUND)


@given(st.text(st.characters(max_codepoint=255)))
def test_no_host_does_more_than_be_refused(text: str) -> None:
    try:
        check_host(Headers({"host": text}), ["localhost"])
    except errors.HostRefused:
        return
    assert host_name(text) == "localhost"


@example("[")
@given(st.text(st.characters(max_codepoint=255)))
def test_no_origin_does_more_than_be_refused(text: str) -> None:
    assume("localhost" not in "".join(text.lower().split()))
    for origin in (text, f"http://{text}"):
        with pytest.raises(errors.OriginRefused):
            check_origin("POST", Headers({"host": "localhost", "origin": origin}))


def test_the_key_of_a_request() -> None:
    assert bearer_key(Headers({"authorization": "bEARER  abc "})) == "abc"
    assert bearer_key(Headers({"authorization": "Basic abc"})) is None
    assert bearer_key(Headers({})) is None
