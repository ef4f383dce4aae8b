"""The autoscaler follows the load."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from cluster.kubernetes import Cluster, wait_until
from cluster.releases import install, load_on, wait_for_pods

TAKING_PART_SECONDS = 10
"""Until every node knows a new pod, and clients have opened connections anew."""
AUTOSCALING = (
    "serve.autoscaling.minReplicas=2",
    "serve.autoscaling.maxReplicas=4",
    "serve.autoscaling.behavior.scaleDown.stabilizationWindowSeconds=15",
    "serve.autoscaling.behavior.scaleDown.policies[0].type=Pods",
    "serve.autoscaling.behavior.scaleDown.policies[0].value=4",
    "serve.autoscaling.behavior.scaleDown.policies[0].periodSeconds=5",
)


def test_replicas_go_up_under_load_and_down_after_it(
    cluster: Cluster, image: str, pictures: Path, measured: Callable[[str], None]
) -> None:
    with cluster.namespace("scaling") as namespace:
        install(namespace, image, *AUTOSCALING)
        wait_for_pods(namespace, 2)
        with load_on(namespace, image, pictures, ["4:/classify:/load/cat.jpg"]) as load:
            up = wait_until("more pods", lambda: len(namespace.ready_pods()) > 2, 150)
            wait_until("all pods", lambda: len(namespace.ready_pods()) == 4, 90)
            time.sleep(TAKING_PART_SECONDS)
            account = load.finish()
        down = wait_for_pods(namespace, 2, 150)
        measured(f"more pods after {up:.0f} s, as few as before after {down:.0f} s")
        assert account["failed"] == []
        assert account["dropped"] == []
        assert len(account["workers"]) == 4, "the new pods took their part"
