"""A real cluster for tests: a program that runs it, and kubectl and helm against it.

The program is the one that ``HELIOGRAPH_TEST_CLUSTER`` names, by default one beside this checkout. It must know
the verbs ``up``, ``base`` (a base image for ``docker build``), ``env`` (prints exports of KUBECONFIG and PATH),
``load IMAGE``, ``stop NODE`` and ``start NODE``.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "HELIOGRAPH_TEST_CLUSTER"
# Settings of the person who runs the tests do not count; taken at import, before a fixture takes them away.
PROGRAM = Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "cluster" / "cluster").resolve()
ENVIRONMENT = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}
# With the package mirrors of whoever runs the tests, where there are any.
BUILD = ("docker", "build", "--build-arg", "PIP_INDEX_URL", "--build-arg", "NPM_CONFIG_REGISTRY")
POLL_SECONDS = 0.5
UP_SECONDS = 2400
# `up` downloads what it builds; what was built and started stays, so another try is short.
PAUSES_SECONDS = (10, 60)
LAST_CHARACTERS = 4000

Json = Any  # what kubectl prints as JSON: its shape is Kubernetes' own


def wait_until(what: str, condition: Callable[[], object], seconds: float) -> float:
    """How long it took until the condition held; fails with ``what`` if it never does."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited {seconds:.0f} s in vain for: {what}"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


@dataclass(frozen=True)
class Cluster:
    """The cluster, as its administrator sees it."""

    environment: Mapping[str, str]

    def run(
        self,
        *command: object,
        check: bool = True,
        stdin: str | None = None,
        seconds: float = 120,
        folder: Path = ROOT,
    ) -> subprocess.CompletedProcess[str]:
        """The outcome of a command, with the cluster's kubeconfig."""
        words = [str(word) for word in command]
        result = subprocess.run(
            words,
            input=stdin,
            env=self.environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check:
            assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}\n{result.stderr}"
        return result

    def kubectl(
        self, *words: object, stdin: str | None = None, check: bool = True, seconds: float = 120
    ) -> str:
        """What kubectl prints."""
        return self.run("kubectl", *words, stdin=stdin, check=check, seconds=seconds).stdout

    def get(self, *words: object) -> Json:
        """What ``kubectl get`` finds."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def load_image(self, tag: str) -> None:
        """Brings an image of the local engine to every node."""
        self.run(PROGRAM, "load", tag, seconds=300)

    def stop_node(self, name: str) -> None:
        """A node fails without a word."""
        self.run(PROGRAM, "stop", name)

    def start_node(self, name: str) -> None:
        """The node comes back; returns when it is ready. One that ends while it starts is started once more."""

        def is_back() -> bool:
            self.run(PROGRAM, "start", name)  # nothing happens to one that runs
            return self.node_ready(name)

        wait_until(f"{name} ready again", is_back, 120)

    def node_ready(self, name: str) -> bool:
        """Whether the control plane thinks so."""
        conditions = self.get("node", name)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def node_addresses(self) -> list[str]:
        """The nodes' addresses, where NodePorts are open."""
        return [
            address["address"]
            for node in self.get("nodes")["items"]
            for address in node["status"]["addresses"]
            if address["type"] == "InternalIP"
        ]

    @contextmanager
    def namespace(self, purpose: str) -> Iterator[Namespace]:
        """A new namespace under Pod Security `restricted`, removed at the end with what is in it.

        Nobody waits for the end: the control plane looks again only after half of the pods' grace.
        """
        name = f"{purpose}-{secrets.token_hex(3)}"
        self.kubectl("create", "namespace", name)
        namespace = Namespace(self, name)
        try:
            namespace.enforce("restricted")
            yield namespace
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", check=False)


@dataclass(frozen=True)
class Namespace:
    """One namespace of a cluster and what is in it."""

    cluster: Cluster
    name: str

    def enforce(self, level: str) -> None:
        """Sets the Pod Security level."""
        labels = [f"pod-security.kubernetes.io/{mode}={level}" for mode in ("enforce", "warn")]
        self.cluster.kubectl("label", "namespace", self.name, "--overwrite", *labels)

    def kubectl(
        self, *words: object, stdin: str | None = None, check: bool = True, seconds: float = 120
    ) -> str:
        """What kubectl prints, in this namespace."""
        return self.cluster.kubectl("-n", self.name, *words, stdin=stdin, check=check, seconds=seconds)

    def get(self, *words: object) -> Json:
        """What ``kubectl get`` finds in this namespace."""
        return self.cluster.get("-n", self.name, *words)

    def helm(self, *words: object, check: bool = True, seconds: float = 180) -> str:
        """What helm prints, in this namespace."""
        return self.cluster.run("helm", "-n", self.name, *words, check=check, seconds=seconds).stdout

    def pods(self, component: str = "serve") -> list[Json]:
        """The pods of a component that are not on their way out."""
        labels = f"app.kubernetes.io/name=heliograph,app.kubernetes.io/component={component}"
        found = self.get("pods", "-l", labels)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def ready_pods(self, component: str = "serve") -> list[str]:
        """The names of those that are ready."""
        ready = (pod for pod in self.pods(component) if condition(pod, "Ready") is not None)
        return [pod["metadata"]["name"] for pod in ready]

    def address(self) -> str:
        """The Service's address inside the cluster, as ``ip:port``."""
        spec = self.get("service", "heliograph")["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    @contextmanager
    def forwarded(self) -> Iterator[str]:
        """The Service on a local port, by ``kubectl port-forward``."""
        command = ["kubectl", "-n", self.name, "port-forward", "service/heliograph", ":80"]
        process = subprocess.Popen(
            command, env=self.cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=10)
            process.kill()


def condition(pod: Json, kind: str) -> str | None:
    """Since when a condition of a pod is true (ISO 8601), or None."""
    for found in pod["status"].get("conditions", ()):
        if found["type"] == kind and found["status"] == "True":
            return str(found["lastTransitionTime"])
    return None


def start_cluster(addons: Sequence[str]) -> Cluster:
    """Starts what does not run yet: minutes on a machine that has to build it, else seconds.

    Without a cluster no test has anything to say, so the run ends here, with what the program wrote last.
    """
    if not PROGRAM.is_file():
        pytest.exit(
            f"The cluster tests need a program that runs one; {PROGRAM} is none. {VARIABLE} names another."
        )
    words = [word for addon in addons for word in ("--with", addon)]
    for seconds in (*PAUSES_SECONDS, None):
        said = _up(words)
        if said is None:
            break
        if seconds is None:
            pytest.exit(f"The cluster did not start.\n{said[-LAST_CHARACTERS:]}")
        time.sleep(seconds)
    printed = subprocess.run(
        [PROGRAM, "env"], env=ENVIRONMENT, check=True, capture_output=True, text=True, timeout=60
    ).stdout
    exports = dict(re.findall(r"(\w+)=(\S+)", printed))
    return Cluster({**ENVIRONMENT, "KUBECONFIG": exports["KUBECONFIG"]})


def _up(words: Sequence[str]) -> str | None:
    """What the program said if it failed, and None if all runs."""
    try:
        done = subprocess.run(
            [PROGRAM, "up", *words],
            env=ENVIRONMENT,
            check=False,
            timeout=UP_SECONDS,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired as error:
        return f"{error}"
    return None if done.returncode == 0 else done.stdout
