"""The OpenAPI document, from the table of routes.

FastAPI is used for this alone: it turns the table and the shapes into a document. Requests do not pass
through it, which saves them 50 µs and the process 0.2 s of start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api import job_schemas
from heliograph.api.access import SAFE_METHODS, SECURE_COOKIE, SESSION_COOKIE
from heliograph.api.errors import PROBLEM_MEDIA_TYPE, status_of
from heliograph.api.parameters import Parameter
from heliograph.api.routes import ROUTES
from heliograph.api.specs import RouteSpec
from heliograph.api.uploads import BACKGROUND_IMAGE
from heliograph.core import errors

DESCRIPTION = """\
Send a picture, get its labels, its cut-out or its character. Errors are problem details (RFC 9457) with a
stable `code`. Every answer says who gave it (`Heliograph-Worker`), where its time went (`Server-Timing`) and
its id (`X-Request-ID`; one that you send is kept)."""
SECURITY_SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, where the operator created some.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": f"A session of `POST /v1/session`, for web pages; `{SECURE_COOKIE}` over HTTPS.",
    },
}
PICTURE = {"type": "string", "format": "binary"}
PATH_EXAMPLES = {
    "model": "efficientnet-lite0",
    "file": "start.js",
    "job": job_schemas.ID,
    "group": job_schemas.ID,
    "worker": "worker-1-x7f3",
}
PROBLEM_REFERENCE = {"$ref": "#/components/schemas/ProblemShape"}


def build_document(version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the main port."""
    app = FastAPI()
    for spec in ROUTES:
        app.add_api_route(
            spec.path,
            _endpoint,
            methods=[spec.method],
            summary=spec.summary,
            tags=[spec.tag],
            status_code=spec.status,
            operation_id=_operation_id(spec),
            response_class=Response,
            responses=_responses(spec),
            openapi_extra=_extra(spec),
        )
    document = get_openapi(title="Heliograph", version=version, description=DESCRIPTION, routes=app.routes)
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    return document


async def _endpoint(request: Request) -> Response:
    """Stands in for every handler: only its empty signature is read."""
    return Response()


def _operation_id(spec: RouteSpec) -> str:
    return spec.handler.__name__


def _extra(spec: RouteSpec) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    listed: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "example": example}}
        for name, example in PATH_EXAMPLES.items()
        if f"{{{name}}}" in spec.path
    ]
    listed += [
        {"name": p.name, "in": p.place, "description": p.description, "schema": dict(p.schema)}
        for p in spec.parameters
        if p.place != "body"
    ]
    if listed:
        extra["parameters"] = listed
    if spec.takes_pictures:
        extra["requestBody"] = _request_body(spec)
    elif members := [p for p in spec.parameters if p.place == "body"]:
        extra["requestBody"] = _form_body(members, spec.body_types)
    if spec.scopes:
        extra["security"] = [{"key": []}, {"session": []}, {}]
        scopes = " or ".join(f"`{scope}`" for scope in spec.scopes)
        extra["description"] = f"Needs the scope {scopes} where API keys are in use."
    return extra


def _form_body(members: Sequence[Parameter], media_types: Sequence[str]) -> dict[str, Any]:
    properties = {p.name: {**p.schema, "description": p.description} for p in members}
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return {"required": True, "content": {media: {"schema": schema} for media in media_types}}


def _request_body(spec: RouteSpec) -> dict[str, Any]:
    fields: dict[str, Any] = {p.name: dict(p.schema) for p in spec.parameters if p.place == "query"}
    text: dict[str, Any] = {"type": "string", "contentEncoding": "base64"}
    form: dict[str, Any] = {"image": _one_or_many(PICTURE, spec), **fields}
    members: dict[str, Any] = {"image": _one_or_many(text, spec), **fields}
    if any(p.name == "background" for p in spec.parameters):
        form[BACKGROUND_IMAGE] = PICTURE
        members[BACKGROUND_IMAGE] = text
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "required": ["image"], "properties": form}},
            "image/*": {"schema": PICTURE},
            "application/json": {
                "schema": {"type": "object", "required": ["image"], "properties": members},
                "example": {"image": "/9j/4AAQSkZJRgABAQAAAQABAAD…"},
            },
        },
    }


def _one_or_many(picture: dict[str, Any], spec: RouteSpec) -> dict[str, Any]:
    return {"type": "array", "items": picture, "minItems": 1} if spec.many else picture


def refusals(spec: RouteSpec) -> list[type[errors.HeliographError]]:
    """Every error that a route may answer, those of the doors in front of it included."""
    doors: list[type[errors.HeliographError]] = [errors.HostRefused]
    if spec.method not in SAFE_METHODS:
        doors.append(errors.OriginRefused)
    if spec.scope is not None:
        doors += [errors.KeyMissing, errors.KeyInvalid, errors.ScopeMissing]
    return list(dict.fromkeys([*spec.errors, *doors]))


def _content(media_type: str) -> dict[str, Any]:
    return PICTURE if media_type.startswith("image/") else {}


def _responses(spec: RouteSpec) -> dict[int | str, dict[str, Any]]:
    success: dict[str, Any] = {"description": "The answer"}
    if spec.answer is not None:
        success["model"] = spec.answer
    if spec.media_types:
        success["content"] = {media: {"schema": _content(media)} for media in spec.media_types}
    responses: dict[int | str, dict[str, Any]] = {spec.status: success}
    for status, other in spec.others.items():
        responses[status] = {"description": other.description}
        if other.answer is not None:
            responses[status]["model"] = other.answer
    if spec.unready:
        responses[503] = {"description": "Not now", "model": spec.answer}
    kinds = refusals(spec)
    for status in sorted({status_of(kind()) for kind in kinds}):
        codes = ", ".join(f"`{kind.code}`" for kind in kinds if status_of(kind()) == status)
        responses[status] = {
            "description": codes,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_REFERENCE}},
        }
    return responses
