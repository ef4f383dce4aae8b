"""The use case of jobs: pictures taken in to be answered later, and what became of them.

Whoever asks sees what its own key sent, or everything if it may operate; the rest does not exist for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.core import errors
from heliograph.core.jobs import Group, Job, JobPage, JobResult, JobState, NewGroup, NewJob, new_id
from heliograph.core.models import Task
from heliograph.core.ports import Imaging
from heliograph.core.queue import JobDesk
from heliograph.serving.access import Caller
from heliograph.serving.answers import Wanted, pack_job
from heliograph.serving.predict import NamedPicture
from heliograph.serving.threads import WorkerThreads

log = logging.getLogger(__name__)

ID_PATTERN = re.compile(r"[0-9a-z-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One request for jobs. ``idempotency_key`` of "" is none."""

    model: str
    task: Task
    wanted: Wanted
    pictures: Sequence[NamedPicture]
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedJob:
    """A job that was taken in, by its picture's name."""

    id: str
    name: str
    state: JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPicture:
    """A picture that was not taken in, and why."""

    name: str
    problem: errors.HeliographError


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a submission. ``is_new`` is False where an idempotency key was repeated."""

    group: str
    jobs: Sequence[AcceptedJob]
    refused: Sequence[RefusedPicture]
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """The pictures that may be jobs, those that may not, and the fingerprint of the whole request."""

    jobs: tuple[NewJob, ...]
    refused: tuple[RefusedPicture, ...]
    fingerprint: str


class Jobs:
    """Takes jobs in and tells of them.

    Args:
        desk: the queue.
        imaging: looks at pictures before they are taken in.
        threads: for looking.
        durable: whether jobs outlive this process.
    """

    def __init__(self, desk: JobDesk, imaging: Imaging, threads: WorkerThreads, *, durable: bool) -> None:
        self._desk = desk
        self._imaging = imaging
        self._threads = threads
        self.durable = durable

    async def submit(self, submission: Submission, caller: Caller) -> Receipt:
        """Takes in every picture that looks like one, all of them or none.

        Raises:
            PictureError, PictureMissing: none does; that of the first. Or the background picture does not.
            QueueFull, QueueUnavailable, BlobStoreUnavailable: see `JobDesk.enqueue`.
            IdempotencyConflict: the key stands for another request.
        """
        checked = await self._threads.run(lambda: self._check(submission))
        if not checked.jobs:
            raise _all_refused(checked.refused)
        group = await self._desk.enqueue(
            NewGroup(
                id=new_id(),
                owner=caller.name,
                jobs=checked.jobs,
                idempotency_key=submission.idempotency_key,
                fingerprint=checked.fingerprint if submission.idempotency_key else "",
            )
        )
        return Receipt(
            group=group.id,
            jobs=await self._accepted(group, checked.jobs),
            refused=checked.refused,
            is_new=group.is_new,
        )

    def _check(self, submission: Submission) -> _Checked:
        """In a thread: looks at every picture and packs those that may be jobs."""
        background = submission.wanted.cutout.background
        if isinstance(background, bytes) and (problem := self._problem_of(background)):
            raise type(problem)(f"The background picture: {problem.message}")
        accepted: list[NewJob] = []
        refused: list[RefusedPicture] = []
        for picture in submission.pictures:
            if problem := self._problem_of(picture.data):
                refused.append(RefusedPicture(name=picture.name, problem=problem))
            else:
                accepted.append(_new_job(submission, picture))
        fingerprint = _fingerprint(submission) if submission.idempotency_key else ""
        return _Checked(jobs=tuple(accepted), refused=tuple(refused), fingerprint=fingerprint)

    def _problem_of(self, data: bytes) -> errors.HeliographError | None:
        try:
            self._imaging.inspect(data)
        except errors.HeliographError as error:
            return error
        except Exception:
            log.exception("This is a bug.")
            return errors.PictureBroken("The picture cannot be looked at.")
        return None

    async def _accepted(self, group: Group, jobs: Sequence[NewJob]) -> Sequence[AcceptedJob]:
        if group.is_new:
            return [AcceptedJob(id=job.id, name=job.name, state=JobState.QUEUED) for job in jobs]
        known = await self._desk.group_jobs(group.id, limit=len(group.job_ids))
        return [AcceptedJob(id=job.id, name=job.name, state=job.state) for job in known]

    async def job(self, job_id: str, caller: Caller) -> Job:
        """A job as it stands.

        Raises:
            JobUnknown: there is none that this caller may see.
        """
        return _seen(await self._desk.job(_checked_id(job_id)), caller)

    async def answered(self, job_id: str, caller: Caller) -> Job:
        """A job that has a result, or may have one once it is finished.

        Raises:
            JobUnknown: there is none that this caller may see.
            JobCancelled: it has no result.
            ResultExpired: it is gone.
            HeliographError: why a job that failed or is dead has none.
        """
        job = await self.job(job_id, caller)
        if job.state is JobState.CANCELLED:
            raise errors.JobCancelled
        if job.is_expired:
            raise errors.ResultExpired
        if job.problem is not None:
            raise errors.by_code(job.problem.code, job.problem.message)
        return job

    async def result(self, job: Job) -> JobResult:
        """What a job answered that is done; `answered` tells which are.

        Raises:
            ResultExpired: it is gone by now.
        """
        result = await self._desk.result(job.id)
        if result is None:
            raise errors.ResultExpired
        return result

    async def withdraw(self, job_id: str, caller: Caller) -> Job:
        """Cancels a job that is unfinished, removes the result of one that is finished; the job as it stands then.

        One that is finished while it is being cancelled keeps its result.
        """
        job = await self.job(job_id, caller)
        change = self._desk.acknowledge if job.state.is_final else self._desk.cancel
        return _seen(await change(job_id), caller)

    async def requeue(self, job_id: str, caller: Caller) -> Job:
        """Gives a dead job new attempts; the job as it stands then.

        Raises:
            JobUnknown: there is none that this caller may see.
            JobNotDead: it is in another state, or its picture is gone.
            QueueFull: there is no room for it.
        """
        job = await self.job(job_id, caller)
        if job.state is not JobState.DEAD or job.is_expired:
            raise errors.JobNotDead
        job = _seen(await self._desk.requeue(job_id), caller)
        if job.state is JobState.DEAD:
            raise errors.JobNotDead
        return job

    async def page(
        self, caller: Caller, *, state: JobState | None = None, cursor: str = "", limit: int = 100
    ) -> JobPage:
        """The caller's jobs, or everybody's if it sees all, newest first; those in a state as `JobDesk.jobs`."""
        owner = None if caller.sees_all else caller.name
        return await self._desk.jobs(owner, state=state, cursor=cursor, limit=limit)

    async def group(
        self, group_id: str, caller: Caller, *, offset: int = 0, limit: int = 100
    ) -> tuple[Group, Sequence[Job]]:
        """A request's jobs counted by state, and so many of them in their order.

        Raises:
            JobUnknown: there is none that this caller may see.
        """
        group = await self._desk.group(_checked_id(group_id))
        if group is None or not caller.may_see(group.owner):
            raise errors.JobUnknown
        return group, await self._desk.group_jobs(group_id, offset=offset, limit=limit)


def phases_of(job: Job) -> dict[str, float] | None:
    """The milliseconds that a finished job spent in each phase, as its worker measured them."""
    if not job.facts:
        return None
    facts: dict[str, Any] = json.loads(job.facts)
    return facts.get("timings_ms")


def _new_job(submission: Submission, picture: NamedPicture) -> NewJob:
    payload, parameters = pack_job(submission.task, picture.data, submission.wanted)
    return NewJob(
        id=new_id(), name=picture.name, model=submission.model, payload=payload, parameters=parameters
    )


def _fingerprint(submission: Submission) -> str:
    """The same for the same request, however its body is written: each part counts with its length before it."""
    background, parameters = pack_job(submission.task, b"", submission.wanted)
    parts = [submission.model.encode(), parameters.encode(), background]
    for picture in submission.pictures:
        parts += (picture.name.encode("utf-8", "surrogatepass"), picture.data)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _all_refused(refused: Sequence[RefusedPicture]) -> errors.HeliographError:
    first = refused[0].problem
    if len(refused) == 1:
        return first
    return type(first)(f"None of the {len(refused)} pictures can be taken. The first: {first.message}")


def _checked_id(given: str) -> str:
    """Spares the queue what cannot be an id."""
    if not ID_PATTERN.fullmatch(given):
        raise errors.JobUnknown
    return given


def _seen(job: Job | None, caller: Caller) -> Job:
    if job is None or not caller.may_see(job.owner):
        raise errors.JobUnknown
    return job
