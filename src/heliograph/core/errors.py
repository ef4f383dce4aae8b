"""Everything that can go wrong, as one tree; status codes live in ``api.errors``.

::

    HeliographError
    ├── RequestError                the request, not the picture, is at fault
    │   ├── RequestMalformed
    │   ├── RequestTooLarge
    │   ├── RequestTooSlow
    │   ├── ParameterInvalid
    │   ├── PictureMissing
    │   ├── TooManyPictures
    │   ├── IdempotencyConflict     the key stands for another request
    │   └── WorkerUnknown           no such worker
    ├── PictureError                this picture cannot be answered
    │   ├── PictureTooLarge         bytes
    │   ├── PictureFormatUnknown    not an image that we read
    │   ├── PictureBroken           claims to be one, cannot be decoded
    │   └── PictureTooManyPixels    more pixels than allowed, or a side too long
    ├── ModelError
    │   ├── ModelUnknown            no such name
    │   │   └── ModelGone           its package has left the store
    │   ├── ModelUnavailable        known, but its weights are not on this machine
    │   ├── ModelTaskMismatch       exists, but does something else
    │   └── ModelInvalid            its package or weights are wrong
    ├── JobError
    │   ├── JobUnknown              no such job or group, or another owner's
    │   ├── JobCancelled
    │   ├── JobNotDead              only dead jobs can be requeued
    │   ├── ResultExpired
    │   ├── AttemptsExhausted       its worker was lost in each attempt
    │   └── PayloadLost             the server has lost the picture
    ├── CapacityError               try again later; carries ``retry_after_seconds``
    │   ├── Overloaded
    │   ├── QueueFull
    │   ├── QueueUnavailable        the server behind the queue does not answer
    │   ├── BlobStoreUnavailable    the folder of large payloads does not answer
    │   ├── FleetUnavailable        whoever runs the workers does not answer
    │   └── ShuttingDown
    ├── DeadlineExceeded
    ├── EngineFailed
    ├── NeedsQueueMode              this process alone cannot do it
    ├── AccessError
    │   ├── KeyMissing
    │   ├── KeyInvalid
    │   ├── ScopeMissing
    │   ├── HostRefused
    │   ├── OriginRefused
    │   └── FleetReadOnly           workers cannot be stopped or scaled from here
    └── SettingsInvalid             the process refuses to start

Messages are for the person who reads the log or the answer; ``code`` is for
programs and never changes. Text that came from outside is cut with `excerpt`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar

EXCERPT_CHARACTERS = 256


def by_code(code: str, message: str) -> HeliographError:
    """The error that was stored by its code; the base of all for a code that nobody knows."""
    return _kinds().get(code, HeliographError)(message)


@cache
def _kinds() -> Mapping[str, type[HeliographError]]:
    kinds: list[type[HeliographError]] = [HeliographError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind for kind in kinds if "code" in vars(kind)}


def excerpt(text: object) -> str:
    """``text`` cut to 256 printable characters, fit for logs and answers."""
    printable = "".join(c if c.isprintable() else " " for c in str(text)[: 2 * EXCERPT_CHARACTERS])
    return printable if len(printable) <= EXCERPT_CHARACTERS else printable[: EXCERPT_CHARACTERS - 1] + "…"


class HeliographError(Exception):
    """Something went wrong that is not the request's fault; the log says what. Base of all errors."""

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.title)

    @property
    def message(self) -> str:
        """What happened, for a person."""
        return str(self)


class RequestError(HeliographError):
    """The request, not the picture in it, is at fault."""


class RequestMalformed(RequestError):
    """The bytes are no HTTP request, or the body is not what its content type says."""

    code = "request-malformed"
    title = "The request body cannot be parsed"


class RequestTooLarge(RequestError):
    """The body exceeds the limit for one request."""

    code = "request-too-large"
    title = "The request is too large"


class RequestTooSlow(RequestError):
    """The body did not arrive in time."""

    code = "request-too-slow"
    title = "The request body arrived too slowly"


class ParameterInvalid(RequestError):
    """A parameter has a value that is not allowed."""

    code = "parameter-invalid"
    title = "A parameter is invalid"


class PictureMissing(RequestError):
    """The request carries no picture, or an empty one."""

    code = "picture-missing"
    title = "The request carries no picture"


class TooManyPictures(RequestError):
    """More pictures in one request than allowed."""

    code = "too-many-pictures"
    title = "Too many pictures in one request"


class IdempotencyConflict(RequestError):
    """The idempotency key stands for another request, or for one whose jobs are over."""

    code = "idempotency-conflict"
    title = "The idempotency key stands for another request"


class WorkerUnknown(RequestError):
    """No worker of this name runs."""

    code = "worker-unknown"
    title = "No worker of this name"


class PictureError(HeliographError):
    """This picture cannot be answered; the same bytes will never be."""


class PictureTooLarge(PictureError):
    """The picture has too many bytes."""

    code = "picture-too-large"
    title = "The picture has too many bytes"


class PictureFormatUnknown(PictureError):
    """The bytes are not an image in a format that we read."""

    code = "picture-format-unknown"
    title = "Not an image that we read"


class PictureBroken(PictureError):
    """The bytes claim to be an image and cannot be decoded."""

    code = "picture-broken"
    title = "The picture is broken"


class PictureTooManyPixels(PictureError):
    """The picture has too many pixels or too long a side."""

    code = "picture-too-many-pixels"
    title = "The picture has too many pixels"


class ModelError(HeliographError):
    """A model cannot be used."""


class ModelUnknown(ModelError):
    """No model of this name is known."""

    code = "model-unknown"
    title = "No model of this name"


class ModelGone(ModelUnknown):
    """A model of this name was served here until its package left the store; whoever asks is told the same."""


class ModelUnavailable(ModelError):
    """The model is known, but its weights are not on this machine."""

    code = "model-unavailable"
    title = "The model's weights are not on this machine"


class ModelTaskMismatch(ModelError):
    """The model exists and does something else than was asked."""

    code = "model-task-mismatch"
    title = "The model does something else"


class ModelInvalid(ModelError):
    """The model's package or weights are wrong."""

    code = "model-invalid"
    title = "The model's package is invalid"


class JobError(HeliographError):
    """A job cannot be told of, or has no result."""


class JobUnknown(JobError):
    """No job or group of this id is known, or it belongs to another key."""

    code = "job-unknown"
    title = "No job or group of this id"


class JobCancelled(JobError):
    """The job was cancelled and has no result."""

    code = "job-cancelled"
    title = "The job was cancelled"


class JobNotDead(JobError):
    """Only a dead job whose picture is still there can be requeued."""

    code = "job-not-dead"
    title = "Only dead jobs can be requeued"


class ResultExpired(JobError):
    """The result was there and is gone: after its time, or because it was acknowledged."""

    code = "result-expired"
    title = "The result is gone"


class AttemptsExhausted(JobError):
    """The worker was lost in every attempt at this job."""

    code = "attempts-exhausted"
    title = "Every attempt at this job failed"


class PayloadLost(JobError):
    """The queue's server has lost the picture of this job."""

    code = "payload-lost"
    title = "The picture of this job is lost"


class CapacityError(HeliographError):
    """Refused for now. ``retry_after_seconds`` (> 0) says when it may work."""

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(CapacityError):
    """As much work is in flight as is allowed."""

    code = "overloaded"
    title = "Too much work in flight"


class QueueFull(CapacityError):
    """As many jobs, or as many bytes of them, wait as are allowed; nothing was stored."""

    code = "queue-full"
    title = "The queue is full"


class QueueUnavailable(CapacityError):
    """The server behind the queue does not answer. ``reason`` is for the log: what it or its client said."""

    code = "queue-unavailable"
    title = "The queue cannot be reached"

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float = 1.0, reason: str = ""
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.reason = reason


class BlobStoreUnavailable(CapacityError):
    """The store of large payloads does not answer, or is full."""

    code = "blob-store-unavailable"
    title = "The store of large payloads cannot be reached"


class FleetUnavailable(CapacityError):
    """Whoever runs the workers does not answer."""

    code = "fleet-unavailable"
    title = "Whoever runs the workers does not answer, or refuses"


class ShuttingDown(CapacityError):
    """The process is stopping and takes no new work."""

    code = "shutting-down"
    title = "This process is stopping"


class DeadlineExceeded(HeliographError):
    """The answer was not ready before the request's deadline."""

    code = "deadline-exceeded"
    title = "The answer was not ready in time"


class EngineFailed(HeliographError):
    """The engine failed on this picture, alone in its batch."""

    code = "engine-failed"
    title = "The engine failed on this picture"


class NeedsQueueMode(HeliographError):
    """This process has no part in a queue, or no workers; `heliograph up` and `mode: queue` of the chart have."""

    code = "needs-queue-mode"
    title = "This needs a queue with workers"


class AccessError(HeliographError):
    """The caller may not do this."""


class KeyMissing(AccessError):
    """An API key is needed and none was sent."""

    code = "key-missing"
    title = "An API key is needed"


class KeyInvalid(AccessError):
    """The API key is not one of ours."""

    code = "key-invalid"
    title = "The API key is not valid"


class ScopeMissing(AccessError):
    """The API key does not have the scope that this needs."""

    code = "scope-missing"
    title = "The API key lacks a scope"


class HostRefused(AccessError):
    """The Host header names a machine that this one is not."""

    code = "host-refused"
    title = "This host name is not served"


class OriginRefused(AccessError):
    """A web page of another origin tried to change something."""

    code = "origin-refused"
    title = "Requests from other web pages are refused"


class FleetReadOnly(AccessError):
    """Workers can be listed from here, not stopped or scaled."""

    code = "fleet-read-only"
    title = "Workers cannot be changed from here"


class SettingsInvalid(HeliographError):
    """The settings contradict each other or are unsafe; the process refuses to start."""

    code = "settings-invalid"
    title = "The settings are invalid"
