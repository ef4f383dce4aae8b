"""Pods as workers: what the state of a pod says of the worker in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from lightkube.models.core_v1 import ContainerStateTerminated, ContainerStatus, PodCondition, PodStatus
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Pod

from heliograph.core import errors
from heliograph.core.fleet import FleetMember
from heliograph.core.workers import WorkerState

REASON_CHARACTERS = 200
ENDED = ("Failed", "Succeeded")
"""Phases of a pod whose containers do not run again."""
NO_TROUBLE = ("", "ContainerCreating", "PodInitializing")
"""Why a container waits while all is well."""


def member_of(pod: Pod) -> FleetMember:
    """The worker in a pod. Its reason is one printable line of at most `REASON_CHARACTERS`."""
    state, reason = _standing(pod)
    return FleetMember(
        name=name_of(pod),
        state=state,
        host=_node(pod),
        started_at=_started_at(pod),
        reason=one_line(reason),
        is_running=_running_since(pod) is not None,
    )


def vanished(member: FleetMember) -> FleetMember:
    """The worker once its pod is not there any more."""
    return replace(member, state=WorkerState.GONE, reason=member.reason or "deleted")


def name_of(pod: Pod) -> str:
    """The pod's name."""
    return _metadata(pod).name or ""


def uid_of(pod: Pod) -> str:
    """What no other pod has, also of the same name."""
    return _metadata(pod).uid or ""


def is_leaving(pod: Pod) -> bool:
    """Whether it is asked to end, or was ended."""
    return _metadata(pod).deletionTimestamp is not None


def has_ended(pod: Pod) -> bool:
    """Whether no container of it will run again."""
    return _status(pod).phase in ENDED


def has_labels(pod: Pod, selector: Mapping[str, str]) -> bool:
    """Whether all these labels are on it."""
    return selector.items() <= (_metadata(pod).labels or {}).items()


def one_line(text: str) -> str:
    """``text`` cut to one printable line."""
    line = errors.excerpt(text).strip()
    return line if len(line) <= REASON_CHARACTERS else line[: REASON_CHARACTERS - 1] + "…"


def told(reason: str | None, message: str | None) -> str:
    """A reason and its message, as far as there are any."""
    return ": ".join(part for part in (reason, message) if part)


def _standing(pod: Pod) -> tuple[WorkerState, str]:
    status = _status(pod)
    if is_leaving(pod):
        return WorkerState.STOPPING, _why_it_leaves(pod)
    if has_ended(pod):
        return WorkerState.GONE, _why_it_ended(status)
    if (ready := _condition(status, "Ready")) is not None and ready.status == "True":
        return WorkerState.READY, ""
    return WorkerState.STARTING, _silence(pod) or _why_it_waits(status)


def _why_it_leaves(pod: Pod) -> str:
    status = _status(pod)
    disruption = _condition(status, "DisruptionTarget")
    target = told(disruption.reason, disruption.message) if disruption is not None else ""
    why = "; ".join(part for part in (target, told(status.reason, status.message), _silence(pod)) if part)
    ending = _last_ending(status)
    if ending is None or ending.exitCode == 0:
        return why or "deleted"
    return f"{why or 'deleted'}; {_ending(ending)}"  # such as one that was killed after its grace


def _why_it_ended(status: PodStatus) -> str:
    ending = _last_ending(status)
    if status.reason or ending is None:
        return told(status.reason or status.phase, status.message)
    return _ending(ending)


def _last_ending(status: PodStatus) -> ContainerStateTerminated | None:
    """How the worker's container has ended, the last one, or one before it that kept it from running."""
    states = [container.state for container in _containers(status) if container.state is not None]
    return next((state.terminated for state in reversed(states) if state.terminated is not None), None)


def _silence(pod: Pod) -> str:
    """What says that its node is not heard of, "" if nothing does.

    The control plane then takes back the readiness and gives no reason; the last word of the node, that the
    containers are ready, stays.
    """
    status = _status(pod)
    ready = _condition(status, "Ready")
    if ready is None or ready.status == "True" or status.phase != "Running":
        return ""
    is_taken_back = not ready.reason and all(container.ready for container in status.containerStatuses or ())
    if is_taken_back or ready.status == "Unknown" or (ready.reason or "").startswith("Node"):
        details = told(ready.reason, ready.message)
        return f"its node {_node(pod)} is not heard of" + (f" ({details})" if details else "")
    return ""


def _why_it_waits(status: PodStatus) -> str:
    scheduled = _condition(status, "PodScheduled")
    if scheduled is not None and scheduled.status != "True":
        return told(scheduled.reason, scheduled.message)
    for container in _containers(status):
        waiting = container.state.waiting if container.state is not None else None
        if waiting is not None and (waiting.reason or "") not in NO_TROUBLE:
            before = _life_before(container)
            return told(f"{waiting.reason} ({before})" if before else waiting.reason, waiting.message)
    return next(filter(None, map(_life_before, _containers(status))), "")


def _life_before(container: ContainerStatus) -> str:
    """How a container has ended that runs again or will; "" for its first life, or if it ended well."""
    state, last = container.state, container.lastState
    ending = state.terminated if state is not None else None
    if ending is not None and ending.exitCode == 0:
        return ""
    if ending is None and last is not None:
        ending = last.terminated
    if ending is None:
        return ""
    again = container.restartCount
    return f"last run: {_ending(ending)}" + (f"; {again} restart{'' if again == 1 else 's'}" if again else "")


def _ending(ending: ContainerStateTerminated) -> str:
    how = ", ".join(part for part in (ending.reason, f"exit status {ending.exitCode}") if part)
    return told(how, ending.message)


def _containers(status: PodStatus) -> Iterator[ContainerStatus]:
    yield from status.initContainerStatuses or ()
    yield from status.containerStatuses or ()


def _condition(status: PodStatus, kind: str) -> PodCondition | None:
    return next((found for found in status.conditions or () if found.type == kind), None)


def _started_at(pod: Pod) -> float:
    began = _running_since(pod) or _metadata(pod).creationTimestamp
    return 0.0 if began is None else began.timestamp()


def _running_since(pod: Pod) -> datetime | None:
    """Since when its container runs; None if it does not."""
    states = (container.state for container in _status(pod).containerStatuses or ())
    running = (state.running for state in states if state is not None)
    return next((each.startedAt for each in running if each is not None), None)


def _node(pod: Pod) -> str:
    return (pod.spec.nodeName if pod.spec is not None else None) or ""


def _metadata(pod: Pod) -> ObjectMeta:
    return pod.metadata or ObjectMeta()


def _status(pod: Pod) -> PodStatus:
    return pod.status or PodStatus()
