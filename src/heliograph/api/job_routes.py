"""The rows of the table for jobs, events and the fleet."""

from __future__ import annotations

from heliograph.api import events, fleet, job_schemas, jobs, parameters
from heliograph.api.middleware import EVENT_STREAM
from heliograph.api.specs import (
    ANSWER_ERRORS,
    LOOK_ERRORS,
    QUEUE_ERRORS,
    UPLOAD_ERRORS,
    OtherAnswer,
    RouteSpec,
)
from heliograph.core import errors
from heliograph.serving.access import Scope

JOB_ERRORS: tuple[type[errors.HeliographError], ...] = (
    errors.JobUnknown,
    errors.NeedsQueueMode,
    *QUEUE_ERRORS,
)
FLEET_ERRORS: tuple[type[errors.HeliographError], ...] = (errors.NeedsQueueMode, errors.FleetUnavailable)

JOB_ROUTES = (
    RouteSpec(
        path="/v1/jobs",
        method="POST",
        handler=jobs.submit_jobs,
        scope=Scope.PREDICT,
        summary="Takes pictures in, to be answered later: all that look like one, or none",
        tag="Jobs",
        status=202,
        answer=job_schemas.ReceiptShape,
        takes_pictures=True,
        many=True,
        parameters=(*parameters.JOBS, parameters.IDEMPOTENCY_KEY),
        errors=(
            *UPLOAD_ERRORS,
            *QUEUE_ERRORS,
            errors.ModelUnavailable,
            errors.ModelInvalid,
            errors.IdempotencyConflict,
            errors.QueueFull,
            errors.NeedsQueueMode,
        ),
    ),
    RouteSpec(
        path="/v1/jobs",
        method="GET",
        handler=jobs.list_jobs,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="Your jobs, or everybody's for operators, newest first",
        tag="Jobs",
        answer=job_schemas.JobPageShape,
        parameters=parameters.LIST,
        errors=(errors.ParameterInvalid, errors.NeedsQueueMode, *QUEUE_ERRORS),
    ),
    RouteSpec(
        path="/v1/jobs/{job}",
        method="GET",
        handler=jobs.show_job,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="A job as it stands",
        tag="Jobs",
        answer=job_schemas.JobShape,
        errors=JOB_ERRORS,
    ),
    RouteSpec(
        path="/v1/jobs/{job}/result",
        method="GET",
        handler=jobs.job_result,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="What a job answered: labels as JSON, or a picture; the stored problem if it failed or is dead",
        tag="Jobs",
        media_types=("application/json", "image/png", "image/webp"),
        others={
            202: OtherAnswer(
                description="Unfinished; the job as it stands. Ask again after `Retry-After`.",
                answer=job_schemas.JobShape,
            ),
            304: OtherAnswer(description="It is the one that `If-None-Match` names."),
        },
        errors=(
            *JOB_ERRORS,
            *LOOK_ERRORS,
            *ANSWER_ERRORS,
            errors.Overloaded,
            errors.JobCancelled,
            errors.ResultExpired,
            errors.AttemptsExhausted,
            errors.PayloadLost,
            errors.HeliographError,
        ),
    ),
    RouteSpec(
        path="/v1/jobs/{job}",
        method="DELETE",
        handler=jobs.withdraw_job,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="Cancels a job; acknowledges a finished one, which removes its result",
        tag="Jobs",
        answer=job_schemas.JobShape,
        errors=JOB_ERRORS,
    ),
    RouteSpec(
        path="/v1/jobs/{job}/requeue",
        method="POST",
        handler=jobs.requeue_job,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="Gives a dead job new attempts",
        tag="Jobs",
        answer=job_schemas.JobShape,
        errors=(*JOB_ERRORS, errors.JobNotDead, errors.QueueFull),
    ),
    RouteSpec(
        path="/v1/groups/{group}",
        method="GET",
        handler=jobs.show_group,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="The jobs of one request: counted by state, and a page of them in their order",
        tag="Jobs",
        answer=job_schemas.GroupShape,
        parameters=(parameters.OFFSET, parameters.LIMIT),
        errors=(*JOB_ERRORS, errors.ParameterInvalid),
    ),
)

EVENT_ROUTES = (
    RouteSpec(
        path="/v1/events",
        method="GET",
        handler=events.stream_events,
        scope=Scope.PREDICT,
        or_operate=True,
        summary="What happens to your jobs, or for operators to all, to workers and the fleet, as server-sent events",
        tag="Jobs",
        media_types=(EVENT_STREAM,),
        parameters=(parameters.LAST_EVENT_ID, parameters.LAST_EVENT_ID_QUERY),
        errors=(errors.NeedsQueueMode, errors.Overloaded),
    ),
)

FLEET_ROUTES = (
    RouteSpec(
        path="/v1/fleet",
        method="GET",
        handler=fleet.show_fleet,
        scope=Scope.OPERATE,
        summary="The workers, and how many there may be",
        tag="Fleet",
        answer=job_schemas.FleetShape,
        errors=(*FLEET_ERRORS, errors.QueueUnavailable),
    ),
    RouteSpec(
        path="/v1/fleet/scale",
        method="POST",
        handler=fleet.scale_fleet,
        scope=Scope.OPERATE,
        summary="Sets how many workers there may be",
        tag="Fleet",
        answer=job_schemas.FleetActionShape,
        parameters=parameters.SCALE,
        errors=(
            *FLEET_ERRORS,
            errors.FleetReadOnly,
            errors.ParameterInvalid,
            errors.RequestMalformed,
            errors.RequestTooLarge,
            errors.RequestTooSlow,
            errors.TooManyPictures,
        ),
    ),
    RouteSpec(
        path="/v1/fleet/workers/{worker}",
        method="DELETE",
        handler=fleet.stop_worker,
        scope=Scope.OPERATE,
        summary="Stops a worker, which finishes or hands back what it holds; another may take its place",
        tag="Fleet",
        answer=job_schemas.FleetActionShape,
        errors=(*FLEET_ERRORS, errors.FleetReadOnly, errors.WorkerUnknown),
    ),
    RouteSpec(
        path="/v1/fleet/log",
        method="GET",
        handler=fleet.fleet_log,
        scope=Scope.OPERATE,
        summary="What was done to the fleet and how to do it by hand, newest first",
        tag="Fleet",
        answer=job_schemas.FleetLogShape,
        parameters=(parameters.LIMIT,),
        errors=(*FLEET_ERRORS, errors.ParameterInvalid),
    ),
)
