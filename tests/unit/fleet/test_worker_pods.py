"""What the state of a pod says of the worker in it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod

from heliograph.adapters.fleet.pods import has_labels, member_of, vanished
from heliograph.core.workers import WorkerState

NAME = "heliograph-worker-7c9d8b6f5-x2x4z"
CREATED, STARTED, DELETED = "2026-11-24T10:00:00Z", "2026-11-24T10:00:07Z", "2026-11-24T10:05:30Z"
STARTED_AT = 1795514407.0
RUNNING = {"running": {"startedAt": STARTED}}
OOM = {
    "terminated": {
        "exitCode": 137,
        "reason": "OOMKilled",
        "startedAt": STARTED,
        "finishedAt": "2026-11-24T10:01:00Z",
        "containerID": "containerd://6c1f",
    }
}
BACK_OFF = (
    "back-off 5m0s restarting failed container=worker pod=heliograph-worker-7c9d8b6f5-x2x4z_default(0f1e)"
)

STARTING, READY, STOPPING, GONE = (
    WorkerState.STARTING,
    WorkerState.READY,
    WorkerState.STOPPING,
    WorkerState.GONE,
)


def container(
    state: dict[str, Any], *, ready: bool = False, name: str = "worker", **more: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "image": "heliograph:1",
        "imageID": "sha256:1",
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
        "lastState": {},
        **more,
    }


def waiting(reason: str, message: str | None = None) -> dict[str, Any]:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def condition(
    kind: str, status: str, reason: str | None = None, message: str | None = None
) -> dict[str, Any]:
    told = {"reason": reason, "message": message}
    found = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": STARTED}
    return found | {name: text for name, text in told.items() if text is not None}


def pod(*conditions: dict[str, Any], node: str = "node-1", deleted: bool = False, **status: Any) -> Pod:
    metadata: dict[str, Any] = {
        "name": NAME,
        "namespace": "default",
        "uid": "0f1e",
        "labels": {"app.kubernetes.io/name": "heliograph", "app.kubernetes.io/component": "worker"},
        "creationTimestamp": CREATED,
    }
    if deleted:
        metadata |= {"deletionTimestamp": DELETED, "deletionGracePeriodSeconds": 30}
    spec = {"containers": [{"name": "worker", "image": "heliograph:1"}]} | (
        {"nodeName": node} if node else {}
    )
    return msgspec.convert(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": spec,
            "status": {"phase": "Running", "conditions": list(conditions), **status},
        },
        Pod,
    )


SCHEDULED = condition("PodScheduled", "True")
IS_READY = condition("Ready", "True")
NOT_READY = condition("Ready", "False", "ContainersNotReady", "containers with unready status: [worker]")
TAINTED = condition(
    "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
)

CASES: dict[str, tuple[Pod, WorkerState, str]] = {
    "new": (pod(phase="Pending", node=""), STARTING, ""),
    "no room": (
        pod(
            condition(
                "PodScheduled",
                "False",
                "Unschedulable",
                "0/2 nodes are available: 2 Insufficient cpu. no new claims",
            ),
            phase="Pending",
            node="",
        ),
        STARTING,
        "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu. no new claims",
    ),
    "being created": (
        pod(
            SCHEDULED, NOT_READY, phase="Pending", containerStatuses=[container(waiting("ContainerCreating"))]
        ),
        STARTING,
        "",
    ),
    "no image": (
        pod(
            SCHEDULED,
            NOT_READY,
            phase="Pending",
            containerStatuses=[
                container(waiting("ImagePullBackOff", 'Back-off pulling image "heliograph:none"'))
            ],
        ),
        STARTING,
        'ImagePullBackOff: Back-off pulling image "heliograph:none"',
    ),
    "init container fails": (
        pod(
            SCHEDULED,
            NOT_READY,
            phase="Pending",
            initContainerStatuses=[
                container(
                    waiting("CrashLoopBackOff", "back-off 10s"),
                    name="weights",
                    restartCount=1,
                    lastState={"terminated": {"exitCode": 3, "reason": "Error"}},
                )
            ],
            containerStatuses=[container(waiting("PodInitializing"))],
        ),
        STARTING,
        "CrashLoopBackOff (last run: Error, exit status 3; 1 restart): back-off 10s",
    ),
    "dies again and again": (
        pod(
            SCHEDULED,
            NOT_READY,
            containerStatuses=[
                container(waiting("CrashLoopBackOff", BACK_OFF), restartCount=6, lastState=OOM)
            ],
        ),
        STARTING,
        f"CrashLoopBackOff (last run: OOMKilled, exit status 137; 6 restarts): {BACK_OFF}",
    ),
    "has just died": (
        pod(SCHEDULED, NOT_READY, containerStatuses=[container(OOM)]),
        STARTING,
        "last run: OOMKilled, exit status 137",
    ),
    "loads": (pod(SCHEDULED, NOT_READY, containerStatuses=[container(RUNNING)]), STARTING, ""),
    "loads again": (
        pod(SCHEDULED, NOT_READY, containerStatuses=[container(RUNNING, restartCount=2, lastState=OOM)]),
        STARTING,
        "last run: OOMKilled, exit status 137; 2 restarts",
    ),
    "loads after its init container": (
        pod(
            SCHEDULED,
            NOT_READY,
            initContainerStatuses=[
                container({"terminated": {"exitCode": 0, "reason": "Completed"}}, ready=True, name="weights")
            ],
            containerStatuses=[container(RUNNING)],
        ),
        STARTING,
        "",
    ),
    "ready": (
        pod(
            SCHEDULED,
            IS_READY,
            containerStatuses=[container(RUNNING, ready=True, restartCount=2, lastState=OOM)],
        ),
        READY,
        "",
    ),
    "node silent": (
        pod(SCHEDULED, condition("Ready", "False"), containerStatuses=[container(RUNNING, ready=True)]),
        STARTING,
        "its node node-1 is not heard of",
    ),
    "node unknown": (
        pod(
            SCHEDULED,
            condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
            containerStatuses=[container(RUNNING, ready=True)],
        ),
        STARTING,
        "its node node-1 is not heard of (NodeStatusUnknown: Kubelet stopped posting node status.)",
    ),
    "a gate is closed": (
        pod(
            SCHEDULED,
            condition("Ready", "False", "ReadinessGatesNotReady"),
            containerStatuses=[container(RUNNING, ready=True)],
        ),
        STARTING,
        "",
    ),
    "deleted": (
        pod(SCHEDULED, IS_READY, deleted=True, containerStatuses=[container(RUNNING, ready=True)]),
        STOPPING,
        "deleted",
    ),
    "deleted and killed": (
        pod(
            NOT_READY,
            deleted=True,
            phase="Failed",
            containerStatuses=[container({"terminated": {"exitCode": 137, "reason": "Error"}})],
        ),
        STOPPING,
        "deleted; Error, exit status 137",
    ),
    "deleted and gone in peace": (
        pod(
            NOT_READY,
            deleted=True,
            phase="Succeeded",
            containerStatuses=[container({"terminated": {"exitCode": 0, "reason": "Completed"}})],
        ),
        STOPPING,
        "deleted",
    ),
    "evicted": (
        pod(
            SCHEDULED,
            IS_READY,
            condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting"),
            deleted=True,
            containerStatuses=[container(RUNNING, ready=True)],
        ),
        STOPPING,
        "EvictionByEvictionAPI: Eviction API: evicting",
    ),
    "node lost": (
        pod(
            SCHEDULED,
            condition("Ready", "False"),
            TAINTED,
            deleted=True,
            containerStatuses=[container(RUNNING, ready=True)],
        ),
        STOPPING,
        "DeletionByTaintManager: Taint manager: deleting due to NoExecute taint; its node node-1 is not heard of",
    ),
    "node lost, as older clusters say it": (
        pod(
            SCHEDULED,
            NOT_READY,
            deleted=True,
            reason="NodeLost",
            message="Node node-1 which was running pod x is unresponsive",
            containerStatuses=[container(RUNNING)],
        ),
        STOPPING,
        "NodeLost: Node node-1 which was running pod x is unresponsive",
    ),
    "evicted by its node": (
        pod(
            phase="Failed",
            reason="Evicted",
            message="The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi.",
        ),
        GONE,
        "Evicted: The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi.",
    ),
    "failed": (pod(phase="Failed", containerStatuses=[container(OOM)]), GONE, "OOMKilled, exit status 137"),
    "done": (
        pod(
            phase="Succeeded",
            containerStatuses=[container({"terminated": {"exitCode": 0, "reason": "Completed"}})],
        ),
        GONE,
        "Completed, exit status 0",
    ),
    "failed without a word": (pod(phase="Failed"), GONE, "Failed"),
}


@pytest.mark.parametrize("case", CASES)
def test_state_and_reason(case: str) -> None:
    subject, state, reason = CASES[case]
    member = member_of(subject)
    assert (member.name, member.state, member.reason) == (NAME, state, reason)
    assert member.pid == 0


def test_where_and_since_when() -> None:
    member = member_of(CASES["ready"][0])
    assert (member.host, member.started_at) == ("node-1", STARTED_AT)
    member = member_of(CASES["no room"][0])
    assert (member.host, member.started_at) == ("", STARTED_AT - 7)


def test_reasons_are_short_lines() -> None:
    text = "a\x1b[2J\nb" + 10_000 * "ü"
    for subject in (
        pod(phase="Pending", containerStatuses=[container(waiting("ImagePullBackOff", text))]),
        pod(phase="Failed", reason=text, message=text),
        pod(phase="Failed", containerStatuses=[container({"terminated": {"exitCode": 1, "message": text}})]),
        pod(condition("DisruptionTarget", "True", text, text), deleted=True),
    ):
        reason = member_of(subject).reason
        assert reason.isprintable()
        assert 100 < len(reason) <= 200


def test_one_that_has_vanished_keeps_its_reason() -> None:
    left = vanished(member_of(CASES["node lost"][0]))
    assert (left.state, left.reason.partition(":")[0]) == (GONE, "DeletionByTaintManager")
    assert vanished(member_of(CASES["ready"][0])).reason == "deleted"


def test_labels() -> None:
    ours = pod()
    assert has_labels(ours, {"app.kubernetes.io/name": "heliograph"})
    assert not has_labels(
        ours, {"app.kubernetes.io/name": "heliograph", "app.kubernetes.io/component": "gateway"}
    )
    assert not has_labels(ours, {"other": ""})
    assert not has_labels(msgspec.convert({"metadata": {"name": "bare"}}, Pod), {"a": "b"})


def test_a_pod_that_says_nothing_starts() -> None:
    member = member_of(msgspec.convert({"metadata": {"name": "bare"}}, Pod))
    assert (member.state, member.reason, member.host, member.started_at) == (STARTING, "", "", 0.0)
