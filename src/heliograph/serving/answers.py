"""What is asked of a job and what it answers, as they lie in the queue.

::

    payload      picture, then the background picture where there is one
    parameters   {"top": 3} or {"output", "format", "background": "#rrggbb", "background_bytes": length of that picture,
                 "decontaminate"}
    result       labels: the JSON list that /classify answers; a cut-out: the picture file
    facts        {"model", "version", "worker", "timings_ms": {…}, "size": [width, height]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.core import errors
from heliograph.core.jobs import JobResult
from heliograph.core.models import ModelSpec, Task
from heliograph.core.predictions import (
    CutoutOptions,
    CutoutOutput,
    EncodedPicture,
    Label,
    LabelledPicture,
    PictureFormat,
    Prediction,
    Timings,
    parse_colour,
)

JSON_MEDIA_TYPE = "application/json"
DEFAULT_TOP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the answer to a picture is wanted. ``top`` counts for classification, ``cutout`` for background removal."""

    top: int = DEFAULT_TOP
    cutout: CutoutOptions = field(default_factory=CutoutOptions)


def pack_job(task: Task, picture: bytes, wanted: Wanted) -> tuple[bytes, str]:
    """The payload and the parameters of a job."""
    if task is Task.CLASSIFICATION:
        return picture, json.dumps({"top": wanted.top})
    options = wanted.cutout
    parameters: dict[str, Any] = {"output": options.output.value, "format": options.format.value}
    parameters["decontaminate"] = options.decontaminate
    if isinstance(options.background, bytes):
        parameters["background_bytes"] = len(options.background)
        picture += options.background
    elif options.background is not None:
        parameters["background"] = "#" + bytes(options.background).hex()
    return picture, json.dumps(parameters)


def unpack_job(payload: bytes, parameters: str) -> tuple[bytes, Wanted]:
    """The picture of a job, and how its answer is wanted.

    Raises:
        HeliographError: what lies in the queue was not written by `pack_job`.
    """
    try:
        given: Mapping[str, Any] = json.loads(parameters)
        background: tuple[int, int, int] | bytes | None = parse_colour(given.get("background", ""))
        if (size := int(given.get("background_bytes", 0))) > 0:
            payload, background = payload[:-size], payload[-size:]
        options = CutoutOptions(
            output=CutoutOutput(given.get("output", CutoutOutput.CUTOUT)),
            format=PictureFormat(given.get("format", PictureFormat.PNG)),
            background=background,
            decontaminate=bool(given.get("decontaminate", CutoutOptions().decontaminate)),
        )
        return payload, Wanted(top=int(given.get("top", DEFAULT_TOP)), cutout=options)
    except (ValueError, TypeError, AttributeError) as error:
        raise errors.HeliographError(
            f"The job's parameters make no sense: {errors.excerpt(error)}"
        ) from error


def pack_result(prediction: Prediction, spec: ModelSpec, *, worker: str) -> JobResult:
    """An answer as the queue keeps it."""
    facts: dict[str, Any] = {
        "model": spec.name,
        "version": spec.version,
        "worker": worker,
        "timings_ms": prediction.timings.milliseconds(),
    }
    if isinstance(prediction, LabelledPicture):
        labels = [{"label": one.label, "probability": one.probability} for one in prediction.labels]
        data, media_type = json.dumps(labels, ensure_ascii=False).encode(), JSON_MEDIA_TYPE
    else:
        data, media_type = prediction.data, prediction.media_type
        facts["size"] = [prediction.width, prediction.height]
    return JobResult(data=data, media_type=media_type, facts=json.dumps(facts))


def unpack_result(result: JobResult) -> Prediction:
    """What `pack_result` was given, with the name of the worker."""
    facts = json.loads(result.facts)
    milliseconds = facts["timings_ms"]
    timings = Timings(
        **{phase: value / 1000 for phase, value in milliseconds.items()}, worker=facts["worker"]
    )
    if result.media_type == JSON_MEDIA_TYPE:
        labels = tuple(Label(one["label"], one["probability"]) for one in json.loads(result.data))
        return LabelledPicture(labels=labels, timings=timings)
    width, height = facts["size"]
    return EncodedPicture(
        data=result.data, media_type=result.media_type, width=width, height=height, timings=timings
    )
