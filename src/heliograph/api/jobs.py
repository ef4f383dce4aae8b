"""The routes of jobs and groups."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from heliograph.api import parameters
from heliograph.api.access import caller_of
from heliograph.api.errors import problem_of
from heliograph.api.held import HeldResponse
from heliograph.api.intake import permitted, taken_in
from heliograph.api.middleware import WORKER_HEADER, note_in_log
from heliograph.api.predict import server_timing
from heliograph.api.services import Services
from heliograph.api.timestamps import timestamp
from heliograph.api.uploads import BACKGROUND_IMAGE, Upload, UploadLimits
from heliograph.core import errors
from heliograph.core.jobs import Job
from heliograph.core.models import Task
from heliograph.serving.admission import Permit
from heliograph.serving.jobs import Jobs, Receipt, Submission, phases_of


async def submit_jobs(request: Request, services: Services) -> Response:
    """``POST /v1/jobs``: takes pictures in, to be answered later."""
    jobs = services.need_jobs()
    key = parameters.read_idempotency_key(request.headers)
    # A client that goes away ends nothing: what it sent is taken in or not, and its key tells which.
    async with taken_in(request, services, services.job_upload_limits) as (upload, permit):
        name = upload.parameters.get("model")
        model = services.predictor.choose(name, Task.CLASSIFICATION if name is None else None)
        parameters.check_known(upload, parameters.SUBMIT[model.spec.task])
        model.check_available()
        _hold_copies(upload, services.job_upload_limits, permit)
        submission = Submission(
            model=model.reference,
            task=model.spec.task,
            wanted=parameters.read_wanted(model.spec.task, upload),
            pictures=upload.pictures,
            idempotency_key=key,
        )
        receipt = await jobs.submit(submission, caller_of(request))
        note_in_log(request.scope, group=receipt.group)
        return _receipt_response(receipt, jobs)


def _hold_copies(upload: Upload, limits: UploadLimits, permit: Permit) -> None:
    """Counts the background picture once for every job: each of them carries its own."""
    copies = len(upload.attachments.get(BACKGROUND_IMAGE, b"")) * len(upload.pictures)
    if copies + sum(len(picture.data) for picture in upload.pictures) > limits.max_bytes:
        raise errors.RequestTooLarge(
            f"With the background picture in every job these are more than {limits.max_bytes:,} bytes; send fewer "
            "pictures in one request."
        )
    permit.hold(copies)


def _receipt_response(receipt: Receipt, jobs: Jobs) -> Response:
    body = {
        "group": receipt.group,
        "durable": jobs.durable,
        "jobs": [{"id": job.id, "name": job.name, "state": job.state.value} for job in receipt.jobs],
        "refused": [{"name": each.name, "problem": problem_of(each.problem)} for each in receipt.refused],
    }
    headers = {"Location": f"/v1/groups/{receipt.group}"}
    if not receipt.is_new:
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(body, 202, headers)


async def list_jobs(request: Request, services: Services) -> Response:
    """``GET /v1/jobs``: the caller's jobs, newest first."""
    query = parameters.read_query(request.query_params, parameters.LIST)
    page = await services.need_jobs().page(
        caller_of(request),
        state=parameters.read_state(query),
        cursor=query.get(parameters.CURSOR.name, ""),
        limit=parameters.read_number(query, parameters.LIMIT),
    )
    body: dict[str, Any] = {"jobs": [_job(job) for job in page.jobs]}
    if page.next_cursor:
        body["next"] = page.next_cursor
    return JSONResponse(body)


async def show_job(request: Request, services: Services) -> Response:
    """``GET /v1/jobs/{job}``: a job as it stands."""
    job = await services.need_jobs().job(request.path_params["job"], caller_of(request))
    return JSONResponse(_job(_noted(request, job)))


async def job_result(request: Request, services: Services) -> Response:
    """``GET /v1/jobs/{job}/result``: what a job answered; while it is unfinished, how it stands."""
    jobs = services.need_jobs()
    job = _noted(request, await jobs.answered(request.path_params["job"], caller_of(request)))
    if not job.state.is_final:
        return JSONResponse(_job(job), 202, {"Retry-After": "1"})
    headers = _result_headers(job)
    known = request.headers.get("if-none-match", "")
    if headers["ETag"] in known or known == "*":
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        response = Response(headers=headers)
        del response.headers["Content-Length"]  # to know it the result would have to be loaded
        return response
    with ExitStack() as held:
        permit = held.enter_context(permitted(services))
        result = await jobs.result(job)
        permit.hold(len(result.data))
        return HeldResponse(result.data, media_type=result.media_type, headers=headers, held=held.pop_all())


def _result_headers(job: Job) -> dict[str, str]:
    headers = {
        "ETag": f'"{job.id}"',  # the result of a job never changes
        "Cache-Control": "private, no-cache",
    }
    if job.worker:
        headers[WORKER_HEADER] = job.worker
    if phases := phases_of(job):
        headers["Server-Timing"] = server_timing(phases)
    return headers


async def withdraw_job(request: Request, services: Services) -> Response:
    """``DELETE /v1/jobs/{job}``: cancels a job, or removes the result of a finished one."""
    job = await services.need_jobs().withdraw(request.path_params["job"], caller_of(request))
    return JSONResponse(_job(_noted(request, job)))


async def requeue_job(request: Request, services: Services) -> Response:
    """``POST /v1/jobs/{job}/requeue``: gives a dead job new attempts."""
    job = await services.need_jobs().requeue(request.path_params["job"], caller_of(request))
    return JSONResponse(_job(_noted(request, job)))


async def show_group(request: Request, services: Services) -> Response:
    """``GET /v1/groups/{group}``: the jobs of one request."""
    query = parameters.read_query(request.query_params, (parameters.OFFSET, parameters.LIMIT))
    offset = parameters.read_number(query, parameters.OFFSET)
    limit = parameters.read_number(query, parameters.LIMIT)
    group, jobs = await services.need_jobs().group(
        request.path_params["group"], caller_of(request), offset=offset, limit=limit
    )
    body: dict[str, Any] = {
        "group": group.id,
        "total": len(group.job_ids),
        "counts": {state.value: count for state, count in group.counts.items()},
        "finished": all(state.is_final for state, count in group.counts.items() if count),
        "jobs": [_job(job) for job in jobs],
    }
    if group.owner:
        body["owner"] = group.owner
    if offset + limit < len(group.job_ids):
        body["next_offset"] = offset + limit
    return JSONResponse(body)


def _noted(request: Request, job: Job) -> Job:
    """The job, whose group is now in the log line of its request."""
    note_in_log(request.scope, group=job.group)
    return job


def _job(job: Job) -> dict[str, Any]:
    """A job as `JobShape` has it."""
    told: dict[str, Any] = {
        "id": job.id,
        "group": job.group,
        "name": job.name,
        "model": job.model,
        "state": job.state.value,
        "priority": job.priority.value,
        "attempts": job.attempts,
        "worker": job.worker or None,
        "accepted_at": timestamp(job.accepted_at),
        "started_at": None if job.started_at is None else timestamp(job.started_at),
        "finished_at": None if job.finished_at is None else timestamp(job.finished_at),
        "expired": job.is_expired,
    }
    if phases := phases_of(job):
        told["timings_ms"] = phases
    if job.problem is not None:
        told["problem"] = problem_of(errors.by_code(job.problem.code, job.problem.message))
    return told
