"""Errors as RFC 9457 problem details: one table from error to status, one function to write them."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from heliograph.core import errors

PROBLEM_MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:heliograph:problem:"

STATUS: dict[type[errors.HeliographError], int] = {
    errors.RequestMalformed: 400,
    errors.ParameterInvalid: 400,
    errors.PictureMissing: 400,
    errors.ModelTaskMismatch: 400,
    errors.KeyMissing: 401,
    errors.KeyInvalid: 401,
    errors.ScopeMissing: 403,
    errors.FleetReadOnly: 403,
    errors.OriginRefused: 403,
    errors.ModelUnknown: 404,
    errors.JobUnknown: 404,
    errors.WorkerUnknown: 404,
    errors.RequestTooSlow: 408,
    errors.IdempotencyConflict: 409,
    errors.JobCancelled: 409,
    errors.JobNotDead: 409,
    errors.ResultExpired: 410,
    errors.RequestTooLarge: 413,
    errors.TooManyPictures: 413,
    errors.PictureTooLarge: 413,
    errors.PictureFormatUnknown: 415,
    errors.HostRefused: 421,
    errors.PictureBroken: 422,
    errors.PictureTooManyPixels: 422,
    errors.EngineFailed: 500,
    errors.ModelInvalid: 500,
    errors.AttemptsExhausted: 500,
    errors.PayloadLost: 500,
    errors.HeliographError: 500,
    errors.NeedsQueueMode: 501,
    errors.ModelUnavailable: 503,
    errors.Overloaded: 503,
    errors.QueueFull: 503,
    errors.QueueUnavailable: 503,
    errors.BlobStoreUnavailable: 503,
    errors.FleetUnavailable: 503,
    errors.ShuttingDown: 503,
    errors.DeadlineExceeded: 504,
}
"""Status of each error; of an error that is not in it, that of its nearest base."""

HTTP_CODES = {404: "route-unknown", 405: "method-not-allowed"}
"""Codes for what the router itself refuses; there is nothing else that it refuses."""


def status_of(error: errors.HeliographError) -> int:
    """The HTTP status for an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem_of(error: errors.HeliographError) -> dict[str, Any]:
    """The problem details of an error, fit for JSON."""
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": status_of(error),
        "code": error.code,
        "detail": error.message,
    }
    if isinstance(error, errors.CapacityError):
        problem["retry_after_seconds"] = whole_seconds(error.retry_after_seconds)
    return problem


def problem_response(error: errors.HeliographError) -> Response:
    """An error as an answer."""
    headers = {}
    if isinstance(error, errors.CapacityError):
        headers["Retry-After"] = str(whole_seconds(error.retry_after_seconds))
    elif isinstance(error, errors.ModelUnavailable):
        headers["Retry-After"] = "60"  # somebody has to fetch the weights first
    elif isinstance(error, errors.KeyMissing | errors.KeyInvalid):
        headers["WWW-Authenticate"] = 'Bearer realm="heliograph"'
    elif isinstance(error, errors.RequestTooSlow):
        headers["Connection"] = "close"  # else the rest may trickle in for ever
    return _json_problem(problem_of(error), headers)


def http_problem_response(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal of the router (no such route, wrong method) as an answer."""
    code = HTTP_CODES.get(status, errors.HeliographError.code)
    problem = {"type": TYPE_PREFIX + code, "title": title, "status": status, "code": code, "detail": title}
    return _json_problem(problem, headers or {})


def whole_seconds(seconds: float) -> int:
    """Seconds as Retry-After wants them: whole, at least 1."""
    return max(1, math.ceil(seconds))


def _json_problem(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    body = json.dumps(problem, ensure_ascii=False).encode()
    return Response(body, problem["status"], headers, media_type=PROBLEM_MEDIA_TYPE)
