"""Releases of the chart and the load upon them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cluster.kubernetes import ROOT, Json, Namespace, condition, wait_until

CHART = ROOT / "charts" / "heliograph"
CLIENT = Path(__file__).with_name("load_client.py")
JOB_CLIENT = Path(__file__).with_name("job_client.py")
LOAD_NAME = "load"
# Small requests, since all nodes share one machine's cores.
SMALL = (
    *(f"{component}.resources.requests.cpu=100m" for component in ("serve", "gateway", "worker")),
    *(f"{component}.resources.requests.memory=400Mi" for component in ("serve", "gateway", "worker")),
    *(f"{component}.resources.limits.memory=1Gi" for component in ("serve", "gateway", "worker")),
    "valkey.resources.requests.cpu=50m",
)
FIXED = ("serve.autoscaling.enabled=false", "serve.replicas=2")


def install(namespace: Namespace, image: str, *values: str, options: Sequence[str] = ()) -> None:
    """Installs or upgrades the chart with small requests; returns when its pods are ready."""
    repository, _, tag = image.rpartition(":")
    settings = [f"image.repository={repository}", f"image.tag={tag}", *SMALL, *values]
    words = [word for setting in settings for word in ("--set", setting)]
    waiting = ["--wait", "--timeout", "120s"]
    namespace.helm("upgrade", "--install", "heliograph", CHART, *words, *waiting, *options)


def wait_for_pods(namespace: Namespace, count: int, seconds: float = 120, component: str = "serve") -> float:
    """How long it took until so many pods are there and every one is ready."""
    return wait_until(
        f"{count} ready pods",
        lambda: len(namespace.pods(component)) == count == len(namespace.ready_pods(component)),
        seconds,
    )


@dataclass(frozen=True)
class Load:
    """A pod that sends pictures."""

    namespace: Namespace
    name: str = LOAD_NAME

    def finish(self, seconds: int = 90) -> Json:
        """Ends the load; its account."""
        stop = "import os, signal; os.kill(1, signal.SIGTERM)"
        self.namespace.kubectl("exec", self.name, "--", "python", "-c", stop)
        return self.account(seconds)

    def account(self, seconds: int) -> Json:
        """The account of one that ends by itself."""
        ended = f"--for=jsonpath={{.status.phase}}=Succeeded --timeout={seconds}s".split()
        self.namespace.kubectl("wait", f"pod/{self.name}", *ended, check=False, seconds=seconds + 30)
        said = self.namespace.kubectl("logs", self.name)
        assert said.endswith("}\n"), said
        return json.loads(said.splitlines()[-1])


@contextmanager
def load_on(
    namespace: Namespace,
    image: str,
    pictures: Path,
    work: Sequence[str],
    *,
    node: str | None = None,
    pause: float = 0.02,
) -> Iterator[Load]:
    """A pod sends pictures to the Service from inside the cluster, until it is told to finish."""
    arguments = [namespace.address(), *work, "--pause", str(pause)]
    with client_pod(namespace, image, pictures, LOAD_NAME, CLIENT, arguments, node=node) as load:
        time.sleep(3)  # so that there is something to compare with before the fault
        yield load


@contextmanager
def jobs_on(
    namespace: Namespace, image: str, pictures: Path, picture: str, *options: object, node: str | None = None
) -> Iterator[Load]:
    """A pod sends a picture as jobs, with these options of its program, and ends when all are final."""
    arguments = [namespace.address(), f"/load/{picture}", *map(str, options)]
    with client_pod(namespace, image, pictures, "jobs", JOB_CLIENT, arguments, node=node) as load:
        yield load


@contextmanager
def client_pod(
    namespace: Namespace,
    image: str,
    pictures: Path,
    name: str,
    program: Path,
    arguments: Sequence[str],
    *,
    node: str | None,
) -> Iterator[Load]:
    """A pod that runs one of our clients, which says when it has started."""
    files = [f"--from-file={file}" for file in (program, *sorted(pictures.iterdir()))]
    namespace.kubectl("delete", "pod,configmap", name, "--ignore-not-found", "--timeout=60s")
    namespace.kubectl("create", "configmap", name, *files)
    pod = restricted_pod(name, image, [f"/load/{program.name}", *arguments])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "load", "mountPath": "/load"}]
    pod["spec"]["volumes"] = [{"name": "load", "configMap": {"name": name}}]
    if node:
        pod["spec"]["nodeName"] = node
    namespace.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    try:
        wait_until("the client", lambda: "started" in namespace.kubectl("logs", name, check=False), 60)
        yield Load(namespace, name)
    finally:
        namespace.kubectl("delete", "pod,configmap", name, "--grace-period=0", "--force", check=False)


def restricted_pod(name: str, image: str, arguments: Sequence[str]) -> Json:
    """A pod that runs Python out of the image, as Pod Security `restricted` wants it."""
    container = {
        "name": name,
        "image": image,
        "command": ["python"],
        "args": list(arguments),
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def seconds_to_ready(pod: Json) -> float:
    """From the container's start to readiness, by the control plane's clock of whole seconds: at most one too few."""
    started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    ready = condition(pod, "Ready")
    assert ready is not None, pod["status"]
    return parse_time(ready) - parse_time(started)


def parse_time(text: str) -> float:
    """Seconds of an API server's time."""
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def longest_silence(account: Json) -> int:
    """The longest run of seconds without an answer, from the first answer to the last."""
    answered = sorted(int(second) for second in account["answered_in_second"])
    return max((b - a - 1 for a, b in pairwise(answered)), default=0)
