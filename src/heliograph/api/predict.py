"""The routes that answer pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from heliograph.api import parameters
from heliograph.api.errors import problem_of
from heliograph.api.services import Services
from heliograph.api.uploads import Upload, read_upload
from heliograph.core import errors
from heliograph.core.models import Task
from heliograph.core.predictions import EncodedPicture, LabelledPicture, Timings
from heliograph.serving.predict import LabelledAnswer
from heliograph.serving.served import ServedModel

CLIENT_CLOSED_REQUEST = 499
"""Status in logs and metrics for a client that went away; nobody receives it."""


async def classify(request: Request, services: Services) -> Response:
    """``POST /classify``: the labels of one picture, as a plain list."""
    async with _admitted(request, services) as upload:
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
    async with _admitted(request, services) as upload:
        parameters.check_known(upload, parameters.REMOVE_BACKGROUND)
        model = services.predictor.choose(upload.parameters.get("model"), Task.BACKGROUND_REMOVAL)
        return await _cut_out(model, upload, services)


async def predict(request: Request, services: Services) -> Response:
    """``POST /v1/models/{model}/predict``: one or many pictures, with whatever model."""
    model = services.predictor.choose(request.path_params["model"])
    async with _admitted(request, services) as upload:
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
        await model.ready(services.predictor.seconds_until(deadline))  # else every picture would fail alike
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
    return _picture_response(answer)


def _picture_response(answer: EncodedPicture) -> Response:
    return Response(answer.data, media_type=answer.media_type, headers=_timing(answer.timings))


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
    phases = timings.milliseconds().items()
    return {"Server-Timing": ", ".join(f"{name};dur={ms}" for name, ms in phases)}


@asynccontextmanager
async def _admitted(request: Request, services: Services) -> AsyncIterator[Upload]:
    """The upload of a request that holds a permit; what runs inside ends when the client goes away."""
    with _counted(services), services.admission.admit() as permit, services.metrics.in_flight():
        upload = await read_upload(request, services.upload_limits, permit)
        with _cancelled_on_disconnect(request):
            yield upload


@contextmanager
def _counted(services: Services) -> Iterator[None]:
    """Counts refusals by their code."""
    try:
        yield
    except (errors.CapacityError, errors.RequestError) as error:
        services.metrics.request_refused(error.code)
        raise


@contextmanager
def _cancelled_on_disconnect(request: Request) -> Iterator[None]:
    """Cancels the current task when the client disconnects, so that its picture costs nothing more.

    Raises:
        ClientDisconnect: instead of the cancellation.
    """
    current = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        message = await request.receive()
        if message["type"] == "http.disconnect" and current is not None:
            gone = True
            current.cancel()

    watcher = asyncio.get_running_loop().create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or current is None:
            raise
        current.uncancel()
        raise ClientDisconnect from None
    finally:
        watcher.cancel()
