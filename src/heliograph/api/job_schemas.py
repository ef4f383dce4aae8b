"""The shapes of what is told of jobs and of the fleet; see ``schemas``."""

from __future__ import annotations

from pydantic import Field

from heliograph.api.schemas import ProblemShape, Shape, TimingsShape
from heliograph.core.jobs import JobState, Priority
from heliograph.core.workers import WorkerState

ID = "3f0c9a4de1b24f7f9f2b7c1d5e6a8b90"
MOMENT = "2026-01-01T00:00:00.000Z"


class AcceptedJobShape(Shape):
    """A job that was taken in."""

    id: str = Field(examples=[ID])
    name: str = Field(description="File name as it was sent.", examples=["cat.jpg"])
    state: JobState


class RefusedPictureShape(Shape):
    """A picture that was not taken in."""

    name: str
    problem: ProblemShape


class ReceiptShape(Shape):
    """What became of the pictures of a request."""

    group: str = Field(examples=[ID])
    durable: bool = Field(description="Whether the jobs outlive the process that took them in.")
    jobs: list[AcceptedJobShape]
    refused: list[RefusedPictureShape]


class JobShape(Shape):
    """A job as it stands."""

    id: str = Field(examples=[ID])
    group: str = Field(examples=[ID])
    name: str = Field(examples=["cat.jpg"])
    model: str = Field(examples=["efficientnet-lite0"])
    state: JobState
    priority: Priority
    attempts: int = Field(description="How often a worker has begun with it.")
    worker: str | None = Field(description="The worker that has it or had it last.")
    accepted_at: str = Field(examples=[MOMENT])
    started_at: str | None
    finished_at: str | None
    expired: bool = Field(description="Its result was there and is gone.")
    timings_ms: TimingsShape | None = Field(None, description="Once it is done.")
    problem: ProblemShape | None = Field(None, description="Why it failed or is dead.")


class JobPageShape(Shape):
    """Jobs, newest first. With `state` a page may have fewer than `limit`, even none, before the last one."""

    jobs: list[JobShape]
    next: str | None = Field(None, description="The `cursor` of the next page; missing on the last one.")


class GroupShape(Shape):
    """The jobs of one request."""

    group: str = Field(examples=[ID])
    owner: str | None = Field(None, description="The API key's name, where keys are in use.")
    total: int
    counts: dict[JobState, int]
    finished: bool = Field(description="Whether none of them is queued or running any more.")
    jobs: list[JobShape] = Field(description="Those of this page, in the order of the request.")
    next_offset: int | None = Field(
        None, description="The `offset` of the next page; missing on the last one."
    )


class BoundsShape(Shape):
    """How many workers there may be; between the two the backlog decides."""

    min: int
    max: int


class WorkerShape(Shape):
    """A worker of the fleet."""

    name: str = Field(description="Of a process, or of a pod; the process in a pod adds an end of its own.")
    state: WorkerState
    host: str = Field(description="The machine, or the node.")
    pid: int | None
    models: dict[str, str] = Field(description="The state of each model.")
    holding: int = Field(description="How many jobs it has in hand.")
    finished: int = Field(description="How many it has finished since it started.")
    started_at: str | None
    seen_at: str | None = Field(description="When it was last heard of.")
    reason: str | None = Field(description="Why it is where it is, such as an exit status.")


class FleetShape(Shape):
    """The workers, and how many there may be."""

    bounds: BoundsShape | None = Field(description="Null where nobody here decides.")
    read_only: bool = Field(description="Whether workers cannot be stopped or scaled from here.")
    obstacle: str | None = Field(description="What keeps their number from following the load.")
    workers: list[WorkerShape]


class FleetActionShape(Shape):
    """Something that was done to the fleet."""

    at: str = Field(examples=[MOMENT])
    who: str = Field(description="The API key's name; `autoscaler` or `supervisor` where nobody asked.")
    what: str = Field(examples=["scaled to 2 to 6 workers"])
    command: str = Field(description="The command that does the same.")
    outcome: str = Field(examples=["ok"])
    seconds: float = Field(description="How long it took; 0 where it was at once.", examples=[0.031])


class FleetLogShape(Shape):
    """What was done to the fleet, newest first."""

    actions: list[FleetActionShape]
