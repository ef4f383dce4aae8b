"""What a row of the table of routes says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from heliograph.api.parameters import Parameter
from heliograph.api.services import Handler
from heliograph.core import errors
from heliograph.serving.access import Scope

LOOK_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.PictureTooLarge,
    errors.PictureFormatUnknown,
    errors.PictureBroken,
    errors.PictureTooManyPixels,
)
"""What a picture may be refused with."""

UPLOAD_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.RequestMalformed,
    errors.ParameterInvalid,
    errors.PictureMissing,
    errors.TooManyPictures,
    errors.RequestTooLarge,
    errors.RequestTooSlow,
    *LOOK_ERRORS,
    errors.ModelUnknown,
    errors.Overloaded,
)
"""What every route that takes pictures may answer."""

ANSWER_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.ModelUnknown,
    errors.ModelUnavailable,
    errors.ModelInvalid,
    errors.DeadlineExceeded,
    errors.EngineFailed,
)
"""Why there may be no answer to a picture that looked right."""

QUEUE_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.QueueUnavailable,
    errors.BlobStoreUnavailable,
)
"""What every route may answer behind which there is a queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAnswer:
    """One more way to succeed; ``answer`` None has no body."""

    description: str
    answer: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """One row of the table.

    ``scope`` None is open to everybody; ``or_operate`` lets keys in that may only operate. ``status`` is that of
    success, ``answer`` the shape of its JSON, ``media_types`` are those of an answer that is not JSON, ``others`` more
    ways to succeed. ``takes_pictures`` documents the three ways to send one, ``body_types`` how parameters of the body
    may be sent.
    """

    path: str
    method: str
    handler: Handler
    scope: Scope | None
    summary: str
    tag: str
    or_operate: bool = False
    status: int = 200
    answer: type[BaseModel] | None = None
    media_types: Sequence[str] = ()
    others: Mapping[int, OtherAnswer] = field(default_factory=dict)
    takes_pictures: bool = False
    many: bool = False
    unready: bool = False
    parameters: Sequence[Parameter] = ()
    body_types: Sequence[str] = ("application/json", "application/x-www-form-urlencoded")
    errors: Sequence[type[errors.HeliographError]] = ()

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes of which one is needed; none for a route that is open."""
        if self.scope is None:
            return ()
        return (self.scope, Scope.OPERATE) if self.or_operate else (self.scope,)
