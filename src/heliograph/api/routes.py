"""The table of the API: path, method, handler, who may, and how it is documented. The web page is in ``page``."""

from __future__ import annotations

from itertools import chain

from heliograph.api import documentation, health, models, parameters, predict, schemas, session
from heliograph.api.job_routes import EVENT_ROUTES, FLEET_ROUTES, JOB_ROUTES
from heliograph.api.specs import ANSWER_ERRORS, QUEUE_ERRORS, UPLOAD_ERRORS, RouteSpec
from heliograph.core import errors
from heliograph.serving.access import Scope

PICTURE_ERRORS = (
    *UPLOAD_ERRORS,
    *ANSWER_ERRORS,
    *QUEUE_ERRORS,
    errors.ModelTaskMismatch,
    errors.ShuttingDown,
    errors.QueueFull,
    errors.AttemptsExhausted,
    errors.PayloadLost,
)
"""What an answered picture may be refused with, by this process or by a worker behind a queue."""

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

SESSION_ROUTES = (
    RouteSpec(
        path="/v1/session",
        method="POST",
        handler=session.open_session,
        scope=None,
        summary="Signs a web page in: a cookie stands for the API key, for twelve hours",
        tag="Session",
        answer=schemas.SessionShape,
        parameters=(parameters.KEY,),
        body_types=("application/json",),
        errors=(
            errors.RequestMalformed,
            errors.RequestTooLarge,
            errors.RequestTooSlow,
            errors.KeyMissing,
            errors.KeyInvalid,
        ),
    ),
    RouteSpec(
        path="/v1/session",
        method="GET",
        handler=session.show_session,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="Whose key or cookie it is, and what it may; also where nobody is asked for keys",
        tag="Session",
        answer=schemas.SessionShape,
    ),
    RouteSpec(
        path="/v1/session",
        method="DELETE",
        handler=session.close_session,
        scope=None,
        summary="Signs a web page out: removes the cookie",
        tag="Session",
        status=204,
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
    *JOB_ROUTES,
    *EVENT_ROUTES,
    *FLEET_ROUTES,
    *SESSION_ROUTES,
    *PROBE_ROUTES,
    metrics_route(Scope.OPERATE),
    *DOCUMENTATION_ROUTES,
)
"""The main port."""

OPERATIONS_ROUTES: tuple[RouteSpec, ...] = (*PROBE_ROUTES, metrics_route(None))
"""The operations port."""
