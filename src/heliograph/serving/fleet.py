"""The fleet as operators see it: what whoever runs the workers knows, and what the workers say of themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from heliograph.core import errors
from heliograph.core.events import EventKind
from heliograph.core.fleet import Fleet, FleetAction, FleetBounds, FleetMember
from heliograph.core.queue import JobDesk
from heliograph.core.workers import WorkerInfo, WorkerState

READ_ONLY = (
    "Workers are not run from here. `heliograph up` runs, stops and scales them on one machine; on Kubernetes "
    "`kubectl delete pod` stops one and `kubectl scale` sets their number."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWorker:
    """A worker, known by whoever runs it, by its heartbeat, or by both; see `FleetMember` and `WorkerInfo`."""

    name: str
    state: WorkerState
    host: str
    pid: int = 0
    models: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    holding: int = 0
    finished: int = 0
    started_at: float = 0.0
    seen_at: float = 0.0
    """When it was last heard of; 0.0 if it never was."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """The fleet at one moment.

    Workers are sorted by name; ``bounds`` is None where nobody here decides how many there are; ``obstacle`` is what
    keeps their number from following the load, "" for nothing.
    """

    bounds: FleetBounds | None
    is_read_only: bool
    obstacle: str
    workers: tuple[FleetWorker, ...]


class FleetView:
    """Shows the fleet, changes it, and tells everybody of the change."""

    def __init__(self, fleet: Fleet, desk: JobDesk) -> None:
        self._fleet = fleet
        self._desk = desk

    async def status(self) -> FleetStatus:
        """The fleet now. Without the queue, what is known without it.

        Raises:
            FleetUnavailable: whoever runs the workers does not answer.
            QueueUnavailable: nobody but the queue knows of workers, and it does not answer.
        """
        members = await self._fleet.members()
        heard: Sequence[WorkerInfo] = ()
        with contextlib.suppress(errors.CapacityError):
            heard = await self._desk.workers()
        return FleetStatus(
            bounds=await self._fleet.bounds(),
            is_read_only=self._fleet.is_read_only,
            obstacle=await self._fleet.obstacle(),
            workers=tuple(sorted(_workers(members, heard), key=lambda worker: worker.name)),
        )

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Sets how many workers there may be; errors as `Fleet.scale`."""
        bounds.check()
        action = await self._fleet.scale(bounds, who=who)
        await self._tell(action)
        return action

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Stops one worker; errors as `Fleet.stop`."""
        action = await self._fleet.stop(name, who=who)
        await self._tell(action, worker=name)
        return action

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done to the fleet, newest first."""
        return await self._fleet.actions(limit=limit)

    async def _tell(self, action: FleetAction, *, worker: str = "") -> None:
        with contextlib.suppress(errors.CapacityError):  # it is done, whoever hears of it
            await self._desk.tell(EventKind.FLEET, worker=worker, detail=action.what)


class HeartbeatFleet:
    """Implements `Fleet` where nobody runs the workers for us: lists those that are heard of, changes nothing."""

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk

    @property
    def is_read_only(self) -> bool:
        """Always."""
        return True

    async def members(self) -> Sequence[FleetMember]:
        """The workers that are heard of, by name."""
        return [
            FleetMember(
                name=info.name, state=info.state, host=info.host, pid=info.pid, started_at=info.started_at
            )
            for info in sorted(await self._desk.workers(), key=lambda info: info.name)
        ]

    async def bounds(self) -> FleetBounds | None:
        """None: nobody here decides."""
        return None

    async def obstacle(self) -> str:
        """Nothing that is known here."""
        return ""

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Refuses, and says who can."""
        raise errors.FleetReadOnly(READ_ONLY)

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Refuses, and says who can."""
        raise errors.FleetReadOnly(READ_ONLY)

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """None ever."""
        return ()


def _workers(members: Sequence[FleetMember], heard: Sequence[WorkerInfo]) -> Iterator[FleetWorker]:
    """Every worker once. A pod is known by its name or as the host of the newest process in it."""
    names = {member.name for member in members}
    lives: dict[str, WorkerInfo] = {}
    for info in sorted(heard, key=lambda info: info.started_at):
        lives[info.host if info.host in names else info.name] = info
    for member in members:
        said = lives.pop(member.name, None)
        yield _unheard(member) if said is None or _is_over(said, member) else _heard(said, member)
    for said in lives.values():
        yield _heard(said, None)


def _is_over(said: WorkerInfo, member: FleetMember) -> bool:
    """Whether the process that said so is not, or not any more, the one that its pod has now."""
    if member.state is WorkerState.STARTING and not member.is_running:
        return True
    return said.state is WorkerState.GONE and said.seen_at < member.started_at


def _unheard(member: FleetMember) -> FleetWorker:
    """A worker that has not said anything, or whose heartbeat is forgotten."""
    return FleetWorker(
        name=member.name,
        state=member.state,
        host=member.host,
        pid=member.pid,
        started_at=member.started_at,
        reason=member.reason,
    )


def _heard(info: WorkerInfo, member: FleetMember | None) -> FleetWorker:
    """A worker by what it says; that it has to stop or is dead, whoever runs it knows first."""
    leaves = member is not None and member.state in (WorkerState.STOPPING, WorkerState.GONE)
    return FleetWorker(
        name=info.name if member is None else member.name,
        state=member.state if member is not None and leaves else info.state,
        host=info.host if member is None else member.host or info.host,
        pid=info.pid,
        models=info.models,
        problems=info.problems,
        holding=0 if info.state is WorkerState.GONE else info.holding,  # others have its jobs by now
        finished=info.finished,
        started_at=info.started_at,
        seen_at=info.seen_at,
        reason="" if member is None else member.reason,
    )
