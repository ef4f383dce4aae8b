"""The proof: thousands of jobs while pods of every role die, a node dies, the server restarts, a version rolls out."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from chaos.witness import Witness
from cluster.kubernetes import Cluster, Json, Namespace, wait_until
from cluster.queues import GATEWAYS, VALKEY_CLAIM, WORKERS, install_queue, open_server, open_volume
from cluster.releases import jobs_on, load_on, wait_for_pods
from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.core.jobs import QueueCounts
from heliograph.core.queue import QueueRules

pytestmark = pytest.mark.anyio

JOBS = 5000
SENDING_SECONDS = 150
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


async def test_nothing_is_lost(
    cluster: Cluster, release: Namespace, image: str, pictures: Path, measured: Measured
) -> None:
    witness = Witness(open_server(release), "default")
    witness.start()
    options = ("--jobs", JOBS, "--seconds", SENDING_SECONDS)
    faults: Counter[str] = Counter()
    try:
        with (
            load_on(
                release, image, pictures, ["2:/classify?model=kmnist:/load/tsu.png"], node="node-1", pause=0.2
            ) as load,
            jobs_on(release, image, pictures, "tsu.png", *options, node="node-1") as jobs,
        ):
            delete_pods(release, faults)
            restart_server(release, faults)
            node_dies_and_comes_back(cluster, release, faults)
            install_queue(release, image, *RELEASE, "settings.maxInFlight=48")
            faults["rollout of gateways and workers"] += 1
            delete_pods(release, faults)
            account = jobs.account(SENDING_SECONDS + SETTLING_SECONDS)
            waited = load.finish()
    finally:
        if faults["node killed"] > faults["node back"]:
            cluster.start_node("node-2")
        witness.stop()
    counts = await counts_of(witness)
    for line in proof(account, waited, witness, counts, faults):
        measured(line)
    nothing_was_lost(account, witness, counts)
    everybody_was_answered(waited)


def delete_pods(namespace: Namespace, faults: Counter[str]) -> None:
    """One of each role, with its time to stop and without, and then all workers at once."""
    for role in ROLES:
        for way in (("--wait=false",), ("--grace-period=0", "--force")):
            namespace.kubectl("delete", "pod", secrets.choice(namespace.ready_pods(role)), *way)
            faults[f"{role} {'killed' if '--force' in way else 'stopped'}"] += 1
            time.sleep(3)
            wait_until("one of each", partial(namespace.ready_pods, role), 60)
    namespace.kubectl("delete", "pod", *namespace.ready_pods("worker"), "--grace-period=0", "--force")
    faults["all workers killed at once"] += 1
    wait_until("workers", lambda: namespace.ready_pods("worker"), 60)


def restart_server(namespace: Namespace, faults: Counter[str]) -> None:
    """The pod of the server goes, once in peace and once without a word, and returns with its volume."""
    for way in ((), ("--grace-period=0", "--force")):
        namespace.kubectl("delete", "pod", "heliograph-valkey-0", *way)
        faults[f"server {'killed' if way else 'stopped'}"] += 1
        wait_for_pods(namespace, 1, component="valkey")
        time.sleep(3)


def node_dies_and_comes_back(cluster: Cluster, namespace: Namespace, faults: Counter[str]) -> None:
    """The node without the server dies; all that it had comes up on the other one."""
    faults["node killed"] += 1
    cluster.stop_node("node-2")
    wait_until("the node not ready", lambda: not cluster.node_ready("node-2"), 90)
    for role in ROLES:
        wait_until(f"a {role} on the other node", partial(on, namespace, "node-1", role), 120)
    cluster.start_node("node-2")
    faults["node back"] += 1


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


def proof(
    account: Json, waited: Json, witness: Witness, counts: QueueCounts, faults: Counter[str]
) -> Sequence[str]:
    """What happened, for people."""
    ends = " + ".join(f"{number} {state.value}" for state, number in sorted(counts.finished.items()))
    lost = account["sent"] - sum(account["states"].values())
    wrong = sum((spell.ended or time.time()) - spell.begun for spell in witness.spells)
    return (
        f"{counts.accepted} accepted = {ends}; {lost} lost, {len(witness.happened_twice())} duplicates",
        f"faults: {dict(faults)}",
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
    assert account["sent"] == account["accepted"] == sum(account["states"].values()) == JOBS
    assert set(account["states"]) <= {"done", "failed", "dead", "cancelled"}
    assert account["states"]["failed"] == JOBS / 20 / 10, "the broken pictures and no others"
    assert account["states"].get("dead", 0) <= JOBS / 100
    labels = [label for label in account["results"] if label != "gone"]
    assert len(labels) == 1, labels
    assert "つ" in labels[0]
    assert counts.accepted == sum(counts.finished.values()) == len(witness.events)
    assert all(one.waiting == one.running == 0 for one in counts.backlog.values())
    assert witness.happened_twice() == []
    assert witness.looks > 100
    for spell in witness.spells:
        assert spell.ended is not None, spell
        assert spell.ended - spell.begun < LAG_SECONDS, spell


def everybody_was_answered(waited: Json) -> None:
    """Who waited got an answer, or was told to come back, within the deadline."""
    assert waited["failed"] == []
    assert waited["answered"] == waited["sent"] > 100
    assert waited["slowest_seconds"] < 40
