"""Workers as the queue sees them: what each says of itself in its heartbeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class WorkerState(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    """Its models load."""
    READY = "ready"
    BUSY = "busy"
    """It holds jobs."""
    STOPPING = "stopping"
    """It takes no more, and finishes or hands back what it holds."""
    GONE = "gone"
    """It has not been heard of for `HEARTBEAT_LOST_SECONDS`; it is forgotten a minute later."""


SERVING = frozenset({WorkerState.READY, WorkerState.BUSY})
"""The states in which a worker takes jobs, if it has a model."""
HEARTBEAT_SECONDS = 2.0
"""How often a worker says that it is there; at once when its state changes."""
HEARTBEAT_LOST_SECONDS = 10.0
HEARTBEAT_FORGOTTEN_SECONDS = 70.0
"""A minute after it was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker.

    Args:
        name: of a process, never used twice.
        state: as it says itself, or `WorkerState.GONE`.
        host: the machine or pod.
        pid: its process id there.
        models: the state of each model that it serves: loading, ready or unavailable.
        problems: why a model is unavailable, for those that are.
        plans: how a model runs there, for those that are ready: the fields of `Plan` in ``serving/model_table``.
        holding: how many jobs it has in hand.
        finished: how many it has finished since it started.
        started_at: seconds since the epoch.
        seen_at: when it was last heard of, by the queue's clock; the queue sets it.
    """

    name: str
    state: WorkerState
    host: str
    pid: int
    models: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    holding: int = 0
    finished: int = 0
    started_at: float = 0.0
    seen_at: float = 0.0
