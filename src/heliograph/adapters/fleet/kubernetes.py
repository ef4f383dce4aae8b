"""`KubernetesFleet`: workers as pods of a cluster, whose number an object of the cluster decides."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lightkube import AsyncClient
from lightkube.core.dictmixin import DictMixin
from lightkube.generic_resource import GenericNamespacedResource
from lightkube.models.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

from heliograph.adapters.fleet import pods
from heliograph.adapters.fleet.api_server import FAILURES, Selection, is_another, reason_of, status_of
from heliograph.adapters.fleet.kubectl import is_name, kubectl
from heliograph.adapters.fleet.mirror import Mirror
from heliograph.adapters.fleet.scalers import Json, Scaler
from heliograph.core import errors
from heliograph.core.fleet import FleetAction, FleetBounds, FleetLog, FleetMember
from heliograph.core.workers import WorkerState

log = logging.getLogger(__name__)

GONE_SECONDS = 60.0
"""How long a worker whose pod is gone is still listed."""
GONE_KEPT = 100
CALL_SECONDS = 10.0
"""How long the API server may take for one call."""
BUSY_SECONDS = 10.0
"""When it may be tried again to stop a worker that a disruption budget holds."""
PROCESS_NAME = re.compile(r"(?P<pod>.+)-[0-9a-f]{8}")
"""How a worker process in a pod names itself."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """A worker whose pod is gone, and since when by the monotonic clock."""

    member: FleetMember
    since: float


class KubernetesFleet:
    """Implements `heliograph.core.fleet.Fleet`; what it tells is up to date while `watch` runs.

    Args:
        client: the way to the API server; it stays the caller's.
        namespace: where the workers are.
        selector: labels that every pod of a worker has and no other one; at least one.
        scaler: what decides how many there are.
        allows_actions: whether workers may be stopped and scaled from here.
        log: remembers what was done.
    """

    def __init__(
        self,
        *,
        client: AsyncClient,
        namespace: str,
        selector: Mapping[str, str],
        scaler: Scaler,
        allows_actions: bool,
        log: FleetLog,
    ) -> None:
        if not selector:
            raise errors.SettingsInvalid("The fleet is one of pods, but no label says which.")
        self._client = client
        self._namespace = namespace
        self._selector = dict(selector)
        self._scaler = scaler
        self._allows_actions = allows_actions
        self._log = log
        self._left: deque[_Left] = deque(maxlen=GONE_KEPT)
        self._ended: dict[str, float] = {}
        """Pods that are there and have ended, and since when that is known."""
        workers = Selection(
            client=client, kind=Pod, namespace=namespace, labels=self._selector, read=pods.member_of
        )
        self._workers = Mirror(workers, "pods", self._remember)
        only = {"metadata.name": scaler.name}
        scalers = Selection(client=client, kind=scaler.kind, namespace=namespace, fields=only, read=_as_json)
        self._scalers = Mirror(scalers, "scaler", lambda name, item: None)

    @property
    def is_read_only(self) -> bool:
        """Whether the chart's values do not allow actions."""
        return not self._allows_actions

    async def watch(self) -> None:
        """Follows the pods and what decides their number, until it is cancelled; no failure ends it."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._workers.run())
            both.create_task(self._scalers.run())

    async def members(self) -> Sequence[FleetMember]:
        """The workers by name, with those that are gone or have ended since less than a minute."""
        if reason := self._workers.outage():
            raise errors.FleetUnavailable(f"The cluster does not tell of its pods: {reason}")
        now, pods_now = time.monotonic(), self._workers.objects
        gone = {name for name, member in pods_now.items() if member.state is WorkerState.GONE}
        self._ended = {name: self._ended.get(name, now) for name in gone}
        horizon = now - GONE_SECONDS
        found = {left.member.name: left.member for left in self._left if left.since > horizon}
        over = {name for name, since in self._ended.items() if since <= horizon}
        found |= {name: member for name, member in pods_now.items() if name not in over}
        return [found[name] for name in sorted(found)]

    async def bounds(self) -> FleetBounds | None:
        """How many there may be, as last heard; None where nothing is there that decides it."""
        item = self._scaler_object()
        return None if item is None else self._scaler.bounds(item)

    async def obstacle(self) -> str:
        """What keeps their number from following the load, also if it is that nobody can tell."""
        if self._is_kind_unknown():
            return self._scaler.missing(self._namespace, is_kind_known=False)
        if reason := self._scalers.outage():
            return f"The cluster does not tell how many workers there may be: {reason.rstrip('.')}."
        item = self._scaler_object()
        return self._scaler.missing(self._namespace) if item is None else self._scaler.obstacle(item)

    async def scale(self, bounds: FleetBounds, *, who: str) -> FleetAction:
        """Sets the bounds in the object that decides."""
        bounds.check()
        command = self._scaler.command(self._namespace, bounds)
        self._check_allowed("Workers are not scaled from here", command)
        self._scaler.check(bounds)
        return await self._act(who, f"scaled to {bounds}", command, self._patch(bounds))

    async def stop(self, name: str, *, who: str) -> FleetAction:
        """Evicts the worker's pod; whatever owns it starts another one in its place."""
        if not is_name(name):
            raise _unknown(name)
        self._check_allowed("Workers are not stopped from here", self._stop_command(name))
        pod = await self._find(name)
        command = self._stop_command(pods.name_of(pod))
        if pods.is_leaving(pod):
            return await self._note(_action(who, f"{pods.name_of(pod)} is stopping already", command))
        return await self._act(who, f"stopping {pods.name_of(pod)}", command, self._evict(pod))

    async def actions(self, *, limit: int = 100) -> Sequence[FleetAction]:
        """What was done, newest first; the log's errors."""
        return await self._log.newest(limit=limit)

    def _remember(self, name: str, member: FleetMember) -> None:
        since = self._ended.get(name, time.monotonic())
        self._left.append(_Left(member=pods.vanished(member), since=since))

    def _is_kind_unknown(self) -> bool:
        return status_of(self._scalers.failure) == 404

    def _scaler_object(self) -> Json | None:
        return None if self._is_kind_unknown() else self._scalers.objects.get(self._scaler.name)

    def _check_allowed(self, what: str, command: str) -> None:
        if self.is_read_only:
            raise errors.FleetReadOnly(
                f"{what}: set fleet.actions=true in the chart's values, or run: {command}"
            )

    def _stop_command(self, name: str) -> str:
        return kubectl(self._namespace, "delete", "pod", name)

    async def _patch(self, bounds: FleetBounds) -> None:
        name, kind, patch = self._scaler.name, self._scaler.patched, {**self._scaler.patch(bounds)}
        how = PatchType.MERGE
        call = self._client.patch(kind, name, patch, namespace=self._namespace, patch_type=how)
        try:
            await _answer(call)
        except FAILURES as error:
            if status_of(error) == 404:
                raise errors.FleetUnavailable(self._scaler.missing(self._namespace)) from error
            raise _refusal("set how many workers there may be", error) from error
        if (item := self._scaler_object()) is not None:
            self._scalers.put(name, {**item, "spec": {**item["spec"], **patch["spec"]}})

    async def _find(self, name: str) -> Pod:
        """The worker's pod as it is now, by its own name or by that of the process in it."""
        process = PROCESS_NAME.fullmatch(name)
        for candidate in (name, process["pod"]) if process else (name,):
            try:
                pod = await _answer(self._client.get(Pod, candidate, namespace=self._namespace))
            except FAILURES as error:
                if status_of(error) == 404:
                    continue
                raise _refusal("look at the worker's pod", error) from error
            if pods.has_labels(pod, self._selector) and not pods.has_ended(pod):
                return pod
        raise _unknown(name)

    async def _evict(self, pod: Pod) -> None:
        name = pods.name_of(pod)
        options = DeleteOptions(preconditions=Preconditions(uid=pods.uid_of(pod)))
        eviction = Pod.Eviction(metadata=ObjectMeta(name=name), deleteOptions=options)
        try:
            await _answer(self._client.create(eviction, name, namespace=self._namespace))
        except FAILURES as error:
            if status_of(error) == 404 or is_another(error):
                raise _unknown(name) from error
            if status_of(error) == 429:
                raise errors.FleetUnavailable(
                    f"The cluster does not let it go now: {reason_of(error)}",
                    retry_after_seconds=BUSY_SECONDS,
                ) from error
            raise _refusal("stop a worker", error) from error

    async def _act(self, who: str, what: str, command: str, call: Awaitable[None]) -> FleetAction:
        """Does something and notes how it went."""
        action, began = _action(who, what, command), time.monotonic()
        try:
            await call
        except errors.FleetUnavailable as error:
            await self._note(replace(action, outcome=error.message, seconds=time.monotonic() - began))
            raise
        return await self._note(replace(action, seconds=time.monotonic() - began))

    async def _note(self, action: FleetAction) -> FleetAction:
        try:
            await self._log.add(action)
        except Exception as error:  # it is done, whoever remembers it
            log.warning("%r is not in the log of the fleet: %s", action.what, errors.excerpt(error))
        return action


async def _answer(call: Awaitable[Answer]) -> Answer:
    """What the API server answers; raises `FAILURES`."""
    async with asyncio.timeout(CALL_SECONDS):
        return await call


def _action(who: str, what: str, command: str) -> FleetAction:
    return FleetAction(at=time.time(), who=errors.excerpt(who), what=what, command=command)


def _unknown(name: str) -> errors.WorkerUnknown:
    return errors.WorkerUnknown(f"There is no worker named {errors.excerpt(name)!r}.")


def _refusal(what: str, error: BaseException) -> errors.FleetUnavailable:
    """The error for a call that the API server refuses or does not answer."""
    reason = reason_of(error)
    if status_of(error) in (401, 403):
        return errors.FleetUnavailable(f"The gateway's service account may not {what}: {reason}")
    return errors.FleetUnavailable(f"It is not possible now to {what}: {reason}")


def _as_json(item: DictMixin | GenericNamespacedResource) -> Json:
    return item.to_dict()
