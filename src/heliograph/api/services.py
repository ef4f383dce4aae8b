"""What the handlers need, assembled by ``bootstrap`` and carried by the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.uploads import UploadLimits
from heliograph.core.ports import Metrics
from heliograph.serving.access import KeyRing
from heliograph.serving.admission import Admission
from heliograph.serving.predict import Predictor
from heliograph.serving.served import ServedModels


@dataclass(slots=True)
class Lifecycle:
    """Whether the process is stopping."""

    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The use cases and rules behind the routes.

    ``allowed_hosts`` None means that the Host header is not checked (keys guard instead).
    """

    version: str
    worker: str
    predictor: Predictor
    models: ServedModels
    admission: Admission
    keys: KeyRing
    metrics: Metrics
    upload_limits: UploadLimits
    allowed_hosts: tuple[str, ...] | None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)


Handler: TypeAlias = Callable[[Request, Services], Awaitable[Response]]
"""What a route of the table calls."""
