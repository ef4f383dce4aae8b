"""A `KubernetesFleet` that follows a real cluster in a thread of its own, and pods for it that cost nothing."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lightkube import AsyncClient, KubeConfig

from cluster.kubernetes import Cluster, Json, Namespace
from heliograph.adapters.fleet.api_server import client_of
from heliograph.adapters.fleet.kubernetes import KubernetesFleet
from heliograph.adapters.fleet.scalers import parse_scaler
from heliograph.core.fleet import FleetAction, FleetMember

PAUSE = "localhost/pause:1"  # what every node has for its pods' sandboxes
POLL_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
Answer = TypeVar("Answer")


class KeptLog:
    """Implements `heliograph.core.fleet.FleetLog` in memory."""

    def __init__(self) -> None:
        self.actions: list[FleetAction] = []

    async def add(self, action: FleetAction) -> None:
        self.actions.append(action)

    async def newest(self, *, limit: int = 100) -> Sequence[FleetAction]:
        return self.actions[::-1][:limit]


class FollowedFleet:
    """A fleet and the event loop in which it follows the cluster; its calls come from other threads."""

    def __init__(self, fleet: KubernetesFleet, loop: asyncio.AbstractEventLoop) -> None:
        self.fleet = fleet
        self._loop = loop

    def do(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """What a call of the fleet answers."""
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(30)

    def members(self) -> dict[str, FleetMember]:
        """The workers by name."""
        return {member.name: member for member in self.do(self.fleet.members())}

    def obstacle(self) -> str:
        """What is in the way."""
        return self.do(self.fleet.obstacle())

    def sees(
        self, name: str, *states: str, reason: str = "", seconds: float = PATIENCE_SECONDS
    ) -> FleetMember:
        """A worker once it is in one of these states for a reason that has this text in it."""
        deadline = time.monotonic() + seconds
        while True:
            member = self.members().get(name)
            if member is not None and member.state in states and reason in member.reason:
                return member
            assert time.monotonic() < deadline, f"{name} is not {states} for {reason!r}: {member}"
            time.sleep(POLL_SECONDS)

    def hears(self, text: str, seconds: float = PATIENCE_SECONDS) -> str:
        """The obstacle once it has this text in it."""
        deadline = time.monotonic() + seconds
        while text not in (obstacle := self.obstacle()):
            assert time.monotonic() < deadline, obstacle
            time.sleep(POLL_SECONDS)
        return obstacle


def config_of(cluster: Cluster, server: str | None = None) -> KubeConfig:
    """The administrator's way to the cluster, at another address where one is given."""
    config = KubeConfig.from_file(cluster.environment["KUBECONFIG"])
    for known in config.clusters.values():
        known.server = server or known.server
    return config


def mount_service_account(folder: Path, namespace: Namespace, token: str) -> str:
    """Files as a pod has them for its service account; the API server's address as ``host:port``."""
    config = config_of(namespace.cluster).get()
    assert config is not None
    assert config.cluster.certificate_auth_data is not None
    folder.joinpath("token").write_text(token)
    folder.joinpath("namespace").write_text(namespace.name)
    folder.joinpath("ca.crt").write_bytes(base64.b64decode(config.cluster.certificate_auth_data))
    return (config.cluster.server or "").removeprefix("https://")


@contextmanager
def followed(
    namespace: Namespace,
    labels: Mapping[str, str],
    scaler: str,
    *,
    client: AsyncClient | None = None,
) -> Iterator[FollowedFleet]:
    """A fleet of the pods with these labels, while the context is open; it closes the client."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fleet", daemon=True)
    thread.start()
    client = client or client_of(config_of(namespace.cluster))
    fleet = KubernetesFleet(
        client=client,
        namespace=namespace.name,
        selector=labels,
        scaler=parse_scaler(scaler),
        allows_actions=True,
        log=KeptLog(),
    )
    watching = asyncio.run_coroutine_threadsafe(fleet.watch(), loop)
    try:
        yield FollowedFleet(fleet, loop)
        assert not watching.done(), watching
    finally:
        watching.cancel()
        asyncio.run_coroutine_threadsafe(client.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def pod_spec(**changes: Any) -> Json:
    """A pod that does nothing, as Pod Security `restricted` wants it; it takes two seconds to stop."""
    container = {
        "name": "worker",
        "image": PAUSE,
        "resources": {"requests": {"cpu": "1m", "memory": "4Mi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **changes,
    }
    return {
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }


def pod(name: str, labels: Mapping[str, str], **changes: Any) -> Json:
    """The manifest of such a pod."""
    metadata = {"name": name, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(**changes)}


def deployment(name: str, labels: Mapping[str, str], replicas: int, **changes: Any) -> Json:
    """The manifest of a Deployment of such pods."""
    template = {"metadata": {"labels": dict(labels)}, "spec": pod_spec(**changes)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": dict(labels)}, "template": template},
    }
