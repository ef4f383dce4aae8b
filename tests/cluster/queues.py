"""Releases with a queue: installed on a volume that the server may write, seen from within the server, and asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import redis

from cluster.kubernetes import Json, Namespace, wait_until
from cluster.releases import install, restricted_pod

OPEN = ("auth.mode=off", "service.type=NodePort")
QUEUE = ("mode=queue", *OPEN)
WORKERS = "worker.autoscaling.enabled=false"
GATEWAYS = "gateway.autoscaling.enabled=false"
VALKEY_CLAIM = "data-heliograph-valkey-0"


def claim(name: str, mode: str) -> Json:
    """The manifest of a claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}},
    }


def open_volume(namespace: Namespace, image: str, name: str, mode: str = "ReadWriteOnce") -> None:
    """Makes a claim whose volume everybody may write; those of this cluster belong to root and know no fsGroup."""
    namespace.enforce("privileged")
    pod = restricted_pod(f"opens-{name}", image, ["-c", "import os; os.chmod('/data', 0o777)"])
    pod["spec"]["securityContext"] = {"runAsUser": 0}
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]
    for manifest in (claim(name, mode), pod):
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    done = "--for=jsonpath={.status.phase}=Succeeded"
    namespace.kubectl("wait", f"pod/opens-{name}", done, "--timeout=60s")
    namespace.kubectl("delete", "pod", f"opens-{name}")
    namespace.enforce("restricted")


def install_queue(namespace: Namespace, image: str, *values: str) -> None:
    """Installs or upgrades the chart in mode `queue`; returns when all that there should be is ready."""
    install(namespace, image, *QUEUE, *values)


def url_of(namespace: Namespace) -> str:
    """The service's address from this machine, at the node that no test kills."""
    port = namespace.get("service", "heliograph")["spec"]["ports"][0]["nodePort"]
    return f"http://{namespace.cluster.node_addresses()[0]}:{port}"


def ask(namespace: Namespace, method: str, path: str, **content: Any) -> httpx2.Response:
    """One answer of the service."""
    transport = httpx2.HTTPTransport(retries=5)
    with httpx2.Client(transport=transport, timeout=40) as client:
        return client.request(method, url_of(namespace) + path, **content)


def fleet_of(namespace: Namespace) -> Json:
    """What the service tells of its workers."""
    return ask(namespace, "GET", "/v1/fleet").raise_for_status().json()


def wait_for_fleet(
    namespace: Namespace, what: str, condition: Callable[[Json], object], seconds: float
) -> float:
    """How long it took until the fleet was so."""
    return wait_until(what, lambda: condition(fleet_of(namespace)), seconds)


@dataclass(frozen=True)
class Server:
    """The queue's server of a release, reached at an address that outlives its pods."""

    url: str

    def client(self) -> redis.Redis:
        """A connection."""
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)

    def answers(self) -> bool:
        """Whether it is reached."""
        with self.client() as client, suppress(redis.RedisError):
            return bool(client.ping())
        return False


def open_server(namespace: Namespace) -> Server:
    """Gives the server of the chart an address that this machine reaches."""
    ports = [{"port": 6379, "targetPort": "valkey"}]
    labels = {"app.kubernetes.io/instance": "heliograph", "app.kubernetes.io/component": "valkey"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "valkey-from-outside"},
        "spec": {"type": "NodePort", "selector": labels, "ports": ports},
    }
    namespace.kubectl("apply", "-f", "-", stdin=json.dumps(service))
    port = namespace.get("service", "valkey-from-outside")["spec"]["ports"][0]["nodePort"]
    secret = namespace.get("secret", "heliograph-valkey")["data"]["password"]
    password = base64.b64decode(secret).decode()
    server = Server(f"redis://:{password}@{namespace.cluster.node_addresses()[0]}:{port}/0")
    wait_until("the way to the server", server.answers, 30)
    return server
