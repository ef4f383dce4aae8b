"""The routes that answer pictures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api import parameters
from heliograph.api.errors import problem_of
from heliograph.api.held import HeldResponse
from heliograph.api.intake import admitted
from heliograph.api.middleware import WORKER_HEADER
from heliograph.api.services import Services
from heliograph.api.uploads import Upload
from heliograph.core.models import Task
from heliograph.core.predictions import EncodedPicture, LabelledPicture, Timings
from heliograph.serving.model_table import ServedModel
from heliograph.serving.predict import LabelledAnswer

CLIENT_CLOSED_REQUEST = 499
"""Status in logs and metrics for a client that went away; nobody receives it."""


async def classify(request: Request, services: Services) -> Response:
    """``POST /classify``: the labels of one picture, as a plain list."""
    async with admitted(request, services) as upload:
        parameters.check_known(upload, parameters.CLASSIFY)
        model = services.predictor.choose(upload.parameters.get("model"), Task.CLASSIFICATION)
        answer = await services.predictor.classify(
            model,
            upload.the_picture(),
            top=parameters.read_top(upload.parameters),
            deadline=services.predictor.deadline(),
        )
        return JSONResponse(_labels(answer), headers=_timing(answer.timings))


async def remove_background(request: Request, services: Services) -> Response:
    """``POST /remove-background``: one picture without its background."""
    async with admitted(request, services) as upload:
        parameters.check_known(upload, parameters.REMOVE_BACKGROUND)
        model = services.predictor.choose(upload.parameters.get("model"), Task.BACKGROUND_REMOVAL)
        return await _cut_out(model, upload, services)


async def predict(request: Request, services: Services) -> Response:
    """``POST /v1/models/{model}/predict``: one or many pictures, with whatever model."""
    model = services.predictor.choose(request.path_params["model"])
    async with admitted(request, services) as upload:
        parameters.check_known(upload, parameters.PREDICT[model.spec.task])
        if model.spec.task is Task.BACKGROUND_REMOVAL:
            return await _cut_out(model, upload, services)
        return await _label_all(model, upload, services)


async def _label_all(model: ServedModel, upload: Upload, services: Services) -> Response:
    top = parameters.read_top(upload.parameters)
    deadline = services.predictor.deadline()
    headers: dict[str, str] = {}
    if len(upload.pictures) == 1:
        picture = upload.pictures[0]
        labelled = await services.predictor.classify(model, picture, top=top, deadline=deadline)
        answers = [LabelledAnswer(name=picture.name, outcome=labelled)]
        headers = _timing(labelled.timings)
    else:
        await services.predictor.wait_for(model, deadline=deadline)  # else every picture would fail alike
        answers = await services.predictor.classify_many(model, upload.pictures, top=top, deadline=deadline)
    results = [_result(answer) for answer in answers]
    body = {"model": model.reference, "version": model.spec.version, "results": results}
    return JSONResponse(body, headers=headers)


async def _cut_out(model: ServedModel, upload: Upload, services: Services) -> Response:
    answer = await services.predictor.cut_out(
        model,
        upload.the_picture(),
        parameters.read_cutout_options(upload),
        deadline=services.predictor.deadline(),
    )
    return _picture_response(answer, services)


def _picture_response(answer: EncodedPicture, services: Services) -> Response:
    """The picture, whose bytes are counted until its client has them; the request's permit is free before."""
    with ExitStack() as held:
        held.enter_context(services.admission.keeping(len(answer.data)))
        return HeldResponse(
            answer.data, media_type=answer.media_type, headers=_timing(answer.timings), held=held.pop_all()
        )


def _result(answer: LabelledAnswer) -> dict[str, Any]:
    if isinstance(answer.outcome, LabelledPicture):
        return {
            "name": answer.name,
            "predictions": _labels(answer.outcome),
            "timings_ms": answer.outcome.timings.milliseconds(),
        }
    return {"name": answer.name, "problem": problem_of(answer.outcome)}


def _labels(answer: LabelledPicture) -> list[dict[str, Any]]:
    return [{"label": label.label, "probability": label.probability} for label in answer.labels]


def _timing(timings: Timings) -> dict[str, str]:
    """Where the time of a picture went, and who answered it if it was not this process."""
    headers = {"Server-Timing": server_timing(timings.milliseconds())}
    if timings.worker:
        headers[WORKER_HEADER] = timings.worker
    return headers


def server_timing(phases: Mapping[str, float]) -> str:
    """Milliseconds of each phase as `Server-Timing` wants them."""
    return ", ".join(f"{name};dur={ms}" for name, ms in phases.items())
