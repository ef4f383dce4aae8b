"""The proof: thousands of jobs while pods of every role die, a node dies, the server restarts, a version rolls out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from chaos.witness import SETTLED, Witness
from cluster.kubernetes import Cluster, Json, Namespace, wait_until
from cluster.queues import GATEWAYS, VALKEY_CLAIM, WORKERS, install_queue, open_server, open_volume
from cluster.releases import jobs_on, load_on, wait_for_pods
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core.jobs import QueueCounts
from heliograph.core.queue import QueueRules

pytestmark = pytest.mark.anyio

JOBS = 5000
"""In all, those of clients that wait for their answer included."""
WINDOW = 300
"""Jobs under way at a time: so many that every worker has some in its hands when it dies."""
SETTLING_SECONDS = 240
LAG_SECONDS = 30.0
"""How long a lag may be wrong once the server was away: until a gateway looks after it again."""
ROLES = ("gateway", "worker")
RELEASE = (
    GATEWAYS,
    "gateway.replicas=2",
    "gateway.nodeFailureSeconds=5",
    WORKERS,
    "worker.replicas=3",
    "worker.nodeFailureSeconds=5",
    # Its volume is of this node on most clusters, and the other one dies.
    "valkey.nodeSelector.kubernetes\\.io/hostname=node-1",
)

Measured = Callable[[str], None]


@pytest.fixture
def release(cluster: Cluster, image: str) -> Iterator[Namespace]:
    with cluster.namespace("drill") as namespace:
        open_volume(namespace, image, VALKEY_CLAIM)
        install_queue(namespace, image, *RELEASE)
        for role, count in (("gateway", 2), ("worker", 3)):
            wait_for_pods(namespace, count, component=role)
        yield namespace


@pytest.mark.timeout(900, func_only=True)
async def test_nothing_is_lost(
    cluster: Cluster, release: Namespace, image: str, pictures: Path, measured: Measured
) -> None:
    witness = Witness(open_server(release), "default")
    witness.start()
    options = ("--window", WINDOW, "--model", "efficientnet-lite0")
    drill = Drill(cluster, release, witness)
    try:
        with (
            load_on(
                release, image, pictures, ["2:/classify?model=kmnist:/load/tsu.png"], node="node-1", pause=0.2
            ) as load,
            jobs_on(release, image, pictures, "cat.jpg", *options, node="node-1") as jobs,
        ):
            drill.delete_pods()
            drill.restart_server()
            drill.drain_node()
            drill.node_dies_and_comes_back()
            drill.roll_out(image)
            drill.delete_pods()
            wait_until("enough jobs", lambda: drill.accepted() >= JOBS * 1.02, 240)
            account = jobs.finish(SETTLING_SECONDS)
            waited = load.finish()
    finally:
        if drill.is_node_dead:
            cluster.start_node("node-2")
        witness.stop()
    counts = await counts_of(witness)
    for line in proof(account, waited, witness, counts, drill):
        measured(line)
    nothing_was_lost(account, witness, counts)
    assert min(drill.under_way) > 0, "each fault met jobs"
    everybody_was_answered(waited)


@dataclass
class Drill:
    """Faults, one after the other, each while there are jobs under way."""

    cluster: Cluster
    namespace: Namespace
    witness: Witness
    faults: list[str] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    is_node_dead: bool = False

    def happens(self, fault: str) -> None:
        """Notes a fault, and what it meets; their sender may be held up by the fault before."""
        wait_until("jobs under way", self.open_jobs, 60)
        self.faults.append(fault)
        self.under_way.append(len(self.open_jobs()))

    def open_jobs(self) -> Sequence[str]:
        """The jobs that are not settled."""
        return [job for job, kinds in list(self.witness.events.items()) if kinds[-1] not in SETTLED]

    def accepted(self) -> int:
        """How many jobs there have been."""
        return len(self.witness.events)

    def delete_pods(self) -> None:
        """One of each role, with its time to stop and without, and then all workers at once."""
        for role in ROLES:
            for way in (("--wait=false",), ("--grace-period=0", "--force")):
                self.happens(f"{role} {'killed' if '--force' in way else 'stopped'}")
                self.namespace.kubectl("delete", "pod", secrets.choice(self.namespace.ready_pods(role)), *way)
                time.sleep(3)
                wait_until("one of each", partial(self.namespace.ready_pods, role), 60)
        self.happens("all workers killed at once")
        workers = self.namespace.ready_pods("worker")
        self.namespace.kubectl("delete", "pod", *workers, "--grace-period=0", "--force")
        wait_until("workers", lambda: self.namespace.ready_pods("worker"), 60)

    def restart_server(self) -> None:
        """The pod of the server goes, once in peace and once without a word, and returns with its volume."""
        for way in ((), ("--grace-period=0", "--force")):
            self.happens(f"server {'killed' if way else 'stopped'}")
            self.namespace.kubectl("delete", "pod", "heliograph-valkey-0", *way)
            wait_for_pods(self.namespace, 1, component="valkey")
            time.sleep(3)

    def drain_node(self) -> None:
        """The node without the server is emptied, one pod of a role at a time."""
        self.happens("node drained")
        words = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s"]
        mine = "--pod-selector=app.kubernetes.io/name=heliograph"
        try:
            self.cluster.kubectl("drain", "node-2", mine, *words, seconds=180)
        finally:
            self.cluster.kubectl("uncordon", "node-2")
        wait_until("several workers", lambda: len(self.namespace.ready_pods("worker")) > 1, 90)
        workers = self.namespace.ready_pods("worker")
        self.namespace.kubectl("delete", "pod", *workers[1:], "--wait=false")  # so that some are there again
        self.happens("workers stopped")
        wait_until("workers on both nodes", lambda: is_spread(self.namespace), 90)

    def node_dies_and_comes_back(self) -> None:
        """The node without the server dies; all that it had comes up on the other one."""
        self.happens("node killed")
        self.is_node_dead = True
        self.cluster.stop_node("node-2")
        wait_until("the node not ready", lambda: not self.cluster.node_ready("node-2"), 90)
        for role in ROLES:
            wait_until(f"a {role} on the other node", partial(on, self.namespace, "node-1", role), 120)
        self.happens("node back")
        self.cluster.start_node("node-2")
        self.is_node_dead = False

    def roll_out(self, image: str) -> None:
        """New pods of both roles replace the old ones."""
        self.happens("rollout of gateways and workers")
        install_queue(self.namespace, image, *RELEASE, "settings.maxInFlight=48")


def is_spread(namespace: Namespace) -> bool:
    """Whether workers are ready on both nodes."""
    ready = namespace.ready_pods("worker")
    nodes = {
        pod["spec"].get("nodeName") for pod in namespace.pods("worker") if pod["metadata"]["name"] in ready
    }
    return nodes == {"node-1", "node-2"}


def on(namespace: Namespace, node: str, role: str) -> bool:
    """Whether every pod of a role is ready and on the node."""
    pods = namespace.pods(role)
    return all(pod["spec"].get("nodeName") == node for pod in pods) and len(pods) == len(
        namespace.ready_pods(role)
    )


async def counts_of(witness: Witness) -> QueueCounts:
    """What the server itself counts."""
    desk = RedisDesk(RedisServer(witness.server.url, "default"), QueueRules())
    try:
        return await desk.counts()
    finally:
        await desk.close()


def proof(account: Json, waited: Json, witness: Witness, counts: QueueCounts, drill: Drill) -> Sequence[str]:
    """What happened, for people."""
    ends = " + ".join(f"{number} {state.value}" for state, number in sorted(counts.finished.items()))
    lost = account["sent"] - sum(account["states"].values())
    met = (f"{fault} ({jobs})" for fault, jobs in zip(drill.faults, drill.under_way, strict=True))
    wrong = sum((spell.ended or time.time()) - spell.begun for spell in witness.spells)
    return (
        f"{counts.accepted} accepted = {ends}; {lost} lost, {len(witness.happened_twice())} duplicates",
        f"faults, with the jobs under way at each: {', '.join(met)}",
        f"of {account['sent']} pictures sent as jobs: {account['states']}, by {len(account['workers'])} workers, "
        f"{counts.redelivered} times begun anew, {account['most_attempts']} attempts at most",
        f"longest time without a job done {witness.longest_gap():.1f} s; told to come back: {account['refusals']}",
        f"lag looked at {witness.looks} times, wrong for {wrong:.1f} s after the server was away",
        f"clients that waited: {waited['answered']} of {waited['sent']} answered, {waited['busy']} times told "
        f"to come back, {len(waited['dropped'])} connections died with their gateway, "
        f"slowest {waited['slowest_seconds']:.1f} s",
    )


def nothing_was_lost(account: Json, witness: Witness, counts: QueueCounts) -> None:
    """By what the client knows, by what the server counts, and by all that anybody was told."""
    assert not witness.failures, witness.failures
    assert account["wrong"] == []
    assert account["sent"] == account["accepted"] == sum(account["states"].values())
    assert set(account["states"]) <= {"done", "failed", "dead", "cancelled"}
    assert account["states"]["failed"] == account["broken"], "the broken pictures and no others"
    assert account["states"].get("dead", 0) <= JOBS / 100
    labels = [label for label in account["results"] if label != "gone"]
    assert len(labels) == 1, labels
    assert "cat" in labels[0]
    assert counts.accepted == sum(counts.finished.values()) == len(witness.events) >= JOBS
    assert all(one.waiting == one.running == 0 for one in counts.backlog.values())
    assert witness.happened_twice() == []
    assert counts.redelivered > 0, "some jobs were in the hands of those who died"
    assert witness.looks > 100
    for spell in witness.spells:
        assert spell.ended is not None, spell
        assert spell.ended - spell.begun < LAG_SECONDS, spell


def everybody_was_answered(waited: Json) -> None:
    """Who waited got an answer, or was told to come back, within the deadline."""
    assert waited["failed"] == []
    assert waited["answered"] == waited["sent"] > 100
    assert waited["slowest_seconds"] < 40
