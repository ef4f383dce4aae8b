"""The table of the API: path, method, handler, who may, and how it is documented. The web page is in ``page``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from pydantic import BaseModel

from heliograph.api import documentation, health, models, parameters, predict, schemas
from heliograph.api.services import Handler
from heliograph.core import errors
from heliograph.serving.access import Scope

PICTURE_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.RequestMalformed,
    errors.ParameterInvalid,
    errors.PictureMissing,
    errors.TooManyPictures,
    errors.RequestTooLarge,
    errors.RequestTooSlow,
    errors.PictureTooLarge,
    errors.PictureFormatUnknown,
    errors.PictureBroken,
    errors.PictureTooManyPixels,
    errors.ModelUnknown,
    errors.ModelTaskMismatch,
    errors.ModelUnavailable,
    errors.ModelInvalid,
    errors.Overloaded,
    errors.ShuttingDown,
    errors.DeadlineExceeded,
    errors.EngineFailed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """One row of the table.

    ``scope`` None is open to everybody. ``answer`` is the shape of the JSON answer, ``media_types`` are those
    of an answer that is not JSON. ``takes_pictures`` documents the three ways to send one.
    """

    path: str
    method: str
    handler: Handler
    scope: Scope | None
    summary: str
    tag: str
    answer: type[BaseModel] | None = None
    media_types: Sequence[str] = ()
    takes_pictures: bool = False
    many: bool = False
    unready: bool = False
    parameters: Sequence[parameters.Parameter] = ()
    errors: Sequence[type[errors.HeliographError]] = ()


PREDICTION_ROUTES = (
    RouteSpec(
        path="/classify",
        method="POST",
        handler=predict.classify,
        scope=Scope.PREDICT,
        summary="The most likely labels of one picture",
        tag="Pictures",
        answer=schemas.LabelsShape,
        takes_pictures=True,
        parameters=parameters.CLASSIFY,
        errors=PICTURE_ERRORS,
    ),
    RouteSpec(
        path="/remove-background",
        method="POST",
        handler=predict.remove_background,
        scope=Scope.PREDICT,
        summary="One picture without its background",
        tag="Pictures",
        media_types=("image/png", "image/webp"),
        takes_pictures=True,
        parameters=parameters.REMOVE_BACKGROUND,
        errors=PICTURE_ERRORS,
    ),
    RouteSpec(
        path="/v1/models/{model}/predict",
        method="POST",
        handler=predict.predict,
        scope=Scope.PREDICT,
        summary="One or many pictures with a model of your choice; a background remover answers one picture",
        tag="Pictures",
        answer=schemas.PredictionShape,
        media_types=("image/png", "image/webp"),
        takes_pictures=True,
        many=True,
        parameters=tuple(chain.from_iterable(parameters.PREDICT.values())),
        errors=PICTURE_ERRORS,
    ),
)

MODEL_ROUTES = (
    RouteSpec(
        path="/v1/models",
        method="GET",
        handler=models.list_models,
        scope=Scope.PREDICT,
        summary="The models that are served here",
        tag="Models",
        answer=schemas.ModelListShape,
    ),
    RouteSpec(
        path="/v1/models/{model}",
        method="GET",
        handler=models.show_model,
        scope=Scope.PREDICT,
        summary="All about one model",
        tag="Models",
        answer=schemas.ModelShape,
        errors=(errors.ModelUnknown,),
    ),
)

PROBE_ROUTES = (
    RouteSpec(
        path="/livez",
        method="GET",
        handler=health.live,
        scope=None,
        summary="Whether the process is alive",
        tag="Operations",
        answer=schemas.HealthShape,
    ),
    RouteSpec(
        path="/readyz",
        method="GET",
        handler=health.ready,
        scope=None,
        unready=True,
        summary="Whether it makes sense to send requests now; 503 while not",
        tag="Operations",
        answer=schemas.HealthShape,
    ),
    RouteSpec(
        path="/startupz",
        method="GET",
        handler=health.started,
        scope=None,
        unready=True,
        summary="Whether every model has been loaded or given up; 503 while not",
        tag="Operations",
        answer=schemas.HealthShape,
    ),
)


def metrics_route(scope: Scope | None) -> RouteSpec:
    """``/metrics``, open on the operations port and for operators on the main one."""
    return RouteSpec(
        path="/metrics",
        method="GET",
        handler=health.metrics,
        scope=scope,
        summary="Metrics for Prometheus",
        tag="Operations",
        media_types=("text/plain",),
    )


DOCUMENTATION_ROUTES = (
    RouteSpec(
        path="/docs",
        method="GET",
        handler=documentation.page,
        scope=None,
        summary="This documentation, to read and try",
        tag="Documentation",
        media_types=("text/html",),
    ),
    RouteSpec(
        path="/docs/{file}",
        method="GET",
        handler=documentation.file,
        scope=None,
        summary="Scripts and styles of the documentation",
        tag="Documentation",
        media_types=("text/javascript", "text/css"),
    ),
    RouteSpec(
        path="/openapi.json",
        method="GET",
        handler=documentation.document,
        scope=None,
        summary="This documentation, as OpenAPI",
        tag="Documentation",
        media_types=("application/json",),
    ),
)

ROUTES: tuple[RouteSpec, ...] = (
    *PREDICTION_ROUTES,
    *MODEL_ROUTES,
    *PROBE_ROUTES,
    metrics_route(Scope.OPERATE),
    *DOCUMENTATION_ROUTES,
)
"""The main port."""

OPERATIONS_ROUTES: tuple[RouteSpec, ...] = (*PROBE_ROUTES, metrics_route(None))
"""The operations port."""
