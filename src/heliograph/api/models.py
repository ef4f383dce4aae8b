"""The routes that tell about models."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api import schemas
from heliograph.api.services import Services
from heliograph.serving.model_table import Plan, ServedModel


async def list_models(request: Request, services: Services) -> Response:
    """``GET /v1/models``: what is served here."""
    answer = schemas.ModelListShape(
        models=[schemas.ModelSummaryShape(**_summary(model)) for model in services.models],
        defaults={task.value: model for task, model in services.models.defaults.items()},
    )
    return JSONResponse(answer.model_dump(exclude_none=True))


async def show_model(request: Request, services: Services) -> Response:
    """``GET /v1/models/{model}``: one model's card, input, labels and plan."""
    model = services.predictor.choose(request.path_params["model"])
    spec = model.spec
    answer = schemas.ModelShape(
        **_summary(model),
        description=spec.description,
        homepage=spec.homepage,
        input={
            "width": spec.input.width,
            "height": spec.input.height,
            "channels": spec.input.channels.value,
            "fit": spec.input.fit.value,
        },
        labels=list(spec.labels),
        accuracy=[
            schemas.AccuracyShape(metric=row.metric, value=row.value, data=row.data) for row in spec.accuracy
        ],
        card=spec.card,
    )
    return JSONResponse(answer.model_dump(exclude_none=True))


def _summary(model: ServedModel) -> dict[str, Any]:
    return {
        "name": model.reference,
        "version": model.spec.version,
        "task": model.spec.task.value,
        "title": model.spec.title,
        "licence": model.spec.licence,
        "state": model.state.value,
        "problem": model.problem.message if model.problem else None,
        "plan": _plan(model.plan) if model.plan else None,
    }


def _plan(plan: Plan) -> schemas.PlanShape:
    return schemas.PlanShape(
        engine=plan.engine,
        precision=plan.precision,
        streams=plan.streams,
        threads_per_stream=plan.threads_per_stream,
        max_batch=plan.max_batch,
    )
