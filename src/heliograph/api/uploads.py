"""What a request carries: pictures and parameters, however they were sent.

Pictures come as multipart fields ``image``, as a raw body, or as base64 in JSON. Parameters come as
query, form field or JSON member; one that both name counts as the body says, one that is named twice in one of them
is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from heliograph.api.multipart import parse_multipart
from heliograph.core import errors
from heliograph.serving.admission import Permit
from heliograph.serving.predict import NamedPicture

Value = TypeVar("Value")

PICTURE_FIELDS = ("image", "images", "file")
BACKGROUND_IMAGE = "background_image"
ATTACHMENT_FIELDS = (BACKGROUND_IMAGE,)
MAX_PARAMETERS = 32
MAX_PARAMETER_CHARACTERS = 1024
MAX_NAME_CHARACTERS = 255
MARKS_PER_PICTURE = 4
"""Brackets and commas of one picture in JSON: one that parts it from the next, one in a ``data:`` URL; and as
many to spare."""
LARGE_BODY_BYTES = 1_000_000
IDLE_SECONDS = 10.0
"""A body that pauses for so long is given up: it holds one of the permits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What one request may carry at most, and how long its body may take to arrive."""

    max_bytes: int
    max_pictures: int
    timeout_seconds: float


SMALL_LIMITS = UploadLimits(max_bytes=65_536, max_pictures=1, timeout_seconds=10.0)
"""Of a request that carries parameters alone."""


@dataclass(slots=True)
class Upload:
    """What one request carried. ``attachments`` are pictures that are parameters themselves."""

    pictures: list[NamedPicture] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)

    def the_picture(self) -> NamedPicture:
        """The only picture.

        Raises:
            TooManyPictures: there are several.
        """
        if len(self.pictures) > 1:
            raise errors.TooManyPictures(
                "This route answers one picture; /v1/models/NAME/predict answers many."
            )
        return self.pictures[0]


async def read_upload(request: Request, limits: UploadLimits, permit: Permit) -> Upload:
    """The pictures and parameters of a request, at least one picture.

    Raises:
        RequestError: the request is at fault; says how.
        Overloaded: the bodies in memory would exceed their bound.
        ClientDisconnect: the client went away.
    """
    body = await read_body(request, limits, permit)
    content_type = request.headers.get("content-type", "")
    if len(body) > LARGE_BODY_BYTES:  # parsing it would hold up everybody else
        upload = await asyncio.to_thread(_parse, body, content_type, limits)
    else:
        upload = _parse(body, content_type, limits)
    if not upload.pictures:
        raise errors.PictureMissing(
            "Send a picture as form field `image`, as the body, or as base64 in JSON."
        )
    _check_count(len(upload.pictures), limits)
    upload.parameters = {**_from_query(request), **_checked(upload.parameters)}
    return upload


async def read_parameters(request: Request) -> Mapping[str, str]:
    """The parameters of a request that carries nothing else: query, and form or JSON members.

    Raises:
        RequestError: the request is at fault; says how.
        ClientDisconnect: the client went away.
    """
    body = await read_body(request, SMALL_LIMITS)
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        upload = Upload(parameters=_from_urlencoded(body))
    else:
        upload = _parse(body, content_type, SMALL_LIMITS)
    if upload.pictures or upload.attachments:
        raise errors.RequestMalformed("Send the parameters as a form, as a JSON object or in the query.")
    return {**_from_query(request), **_checked(upload.parameters)}


async def read_body(request: Request, limits: UploadLimits, permit: Permit | None = None) -> bytes:
    """A request's body within its limits, counted by ``permit``; errors as `read_upload`."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise errors.RequestMalformed("The body is compressed (`Content-Encoding`); send it as it is.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.max_bytes:
        raise _too_large(limits)
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + limits.timeout_seconds
    try:
        async with asyncio.timeout(min(limits.timeout_seconds, IDLE_SECONDS)) as patience:
            async for chunk in request.stream():
                patience.reschedule(min(end, loop.time() + IDLE_SECONDS))
                size += len(chunk)
                if size > limits.max_bytes:
                    raise _too_large(limits)
                if permit is not None:
                    permit.hold(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise errors.RequestTooSlow(
            f"The body did not arrive within {limits.timeout_seconds:g} s, or paused for {IDLE_SECONDS:g} s."
        ) from None
    return b"".join(chunks) if len(chunks) != 1 else chunks[0]


def _parse(body: bytes, content_type: str, limits: UploadLimits) -> Upload:
    upload = Upload()
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        _take_parts(upload, body, content_type, limits)
    elif media_type == "application/json":
        _take_json(upload, body, limits)
    elif body:
        upload.pictures.append(NamedPicture(name="image", data=body))
    return upload


def _from_query(request: Request) -> Mapping[str, str]:
    return _checked(once_each(request.query_params.multi_items()))


def _from_urlencoded(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise errors.RequestMalformed(f"The form has more than {MAX_PARAMETERS} fields.") from None
    return once_each(fields)


def once_each(fields: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    """Fields by their names.

    Raises:
        ParameterInvalid: a name is there twice.
    """
    found: dict[str, Value] = {}
    for name, value in fields:
        _put_once(found, name, value)
    return found


def _put_once(found: dict[str, Value], name: str, value: Value) -> None:
    if name in found:
        raise errors.ParameterInvalid(f"{errors.excerpt(name)!r} is there twice.")
    found[name] = value


def _too_large(limits: UploadLimits) -> errors.RequestTooLarge:
    return errors.RequestTooLarge(f"The limit for a request is {limits.max_bytes:,} bytes.")


def _take_parts(upload: Upload, body: bytes, content_type: str, limits: UploadLimits) -> None:
    max_parts = limits.max_pictures + MAX_PARAMETERS
    for part in parse_multipart(body, content_type, max_parts=max_parts):
        if part.name in PICTURE_FIELDS:
            name = (part.filename or part.name)[:MAX_NAME_CHARACTERS]
            upload.pictures.append(NamedPicture(name=name, data=part.data))
        elif part.name in ATTACHMENT_FIELDS:
            _put_once(upload.attachments, part.name, part.data)
        elif part.filename is not None:
            raise errors.RequestMalformed(
                f"The file is in the field {errors.excerpt(part.name)!r}; send it as `image`."
            )
        else:
            _put_once(upload.parameters, part.name, part.data.decode("utf-8", "replace"))


def _take_json(upload: Upload, body: bytes, limits: UploadLimits) -> None:
    _check_members(body, limits)
    try:
        document = json.loads(body, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        raise errors.RequestMalformed("The body is not valid JSON.") from None
    if not isinstance(document, dict):
        raise errors.RequestMalformed("The JSON body must be an object with a member `image`.")
    for key, value in document.items():
        if key in PICTURE_FIELDS:
            texts = value if isinstance(value, list) else [value]
            _check_count(len(upload.pictures) + len(texts), limits)
            for text in texts:
                number = len(upload.pictures) + 1
                upload.pictures.append(NamedPicture(name=f"{key}-{number}", data=_from_base64(key, text)))
        elif key in ATTACHMENT_FIELDS:
            upload.attachments[key] = _from_base64(key, value)
        else:
            upload.parameters[key] = _scalar(key, value)


def _check_members(body: bytes, limits: UploadLimits) -> None:
    """Refuses JSON that would become millions of objects: base64 has none of the marks that are counted."""
    marks = body.count(b"[") + body.count(b"{") + body.count(b",")
    if marks > MARKS_PER_PICTURE * limits.max_pictures + MAX_PARAMETERS * MAX_PARAMETER_CHARACTERS:
        raise errors.RequestMalformed("The JSON body has too many members.")


def _check_count(pictures: int, limits: UploadLimits) -> None:
    if pictures > limits.max_pictures:
        raise errors.TooManyPictures(
            f"The request carries {pictures} pictures; the limit is {limits.max_pictures}."
        )


def _from_base64(key: str, text: object) -> bytes:
    """The bytes of a base64 string or of a ``data:`` URL."""
    if not isinstance(text, str):
        raise errors.RequestMalformed(f"`{key}` must be base64 text.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise errors.RequestMalformed(f"`{key}` is not valid base64.") from None


def _scalar(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise errors.RequestMalformed(f"The member {errors.excerpt(key)!r} must be text or a number.")


def _checked(parameters: Mapping[str, str]) -> Mapping[str, str]:
    if len(parameters) > MAX_PARAMETERS:
        raise errors.ParameterInvalid(f"More than {MAX_PARAMETERS} parameters.")
    for name, value in parameters.items():
        if len(value) > MAX_PARAMETER_CHARACTERS:
            raise errors.ParameterInvalid(f"The parameter {errors.excerpt(name)!r} is too long.")
    return parameters


__all__ = [
    "ClientDisconnect",
    "Upload",
    "UploadLimits",
    "once_each",
    "read_body",
    "read_parameters",
    "read_upload",
]
