"""Ways to install, and ways to reach what was installed."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.answers import check_answers, post, workers_that_answer
from cluster.kubernetes import PROGRAM, Cluster, Json, Namespace, wait_until
from cluster.releases import FIXED, SMALL, install, restricted_pod, seconds_to_ready, wait_for_pods
from heliograph.serving.access import Scope, create_key

SMALL_WORDS = [word for value in (*SMALL, *FIXED) for word in ("--set", value)]
READY_SECONDS = 3
STARTS = 3


def deploy(cluster: Cluster, checkout: Path, namespace: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs ``scripts/deploy`` as a user does."""
    return cluster.run(
        checkout / "scripts" / "deploy", "--namespace", namespace, *words, folder=checkout, seconds=600
    )


def generation(namespace: Namespace) -> int:
    """Counts the changes of the Deployment's pods."""
    return int(namespace.get("deployment", "heliograph")["metadata"]["generation"])


@contextmanager
def unmade_namespace(cluster: Cluster, purpose: str) -> Iterator[Namespace]:
    """A namespace that does not exist yet, gone at the end whatever happens."""
    namespace = Namespace(cluster, f"{purpose}-{secrets.token_hex(3)}")
    try:
        yield namespace
    finally:
        cluster.kubectl("delete", "namespace", namespace.name, "--ignore-not-found", "--wait=false")


def test_deploy_by_loading_and_three_ways_in(
    cluster: Cluster, checkout: Path, image: str, pictures: Path
) -> None:
    """NodePort, LoadBalancer and port-forward give right answers, from both pods; cleanup leaves nothing."""
    assert image
    words = ["--load-with", f"{PROGRAM} load", *SMALL_WORDS]
    words += ["--set", "auth.mode=off", "--set", "service.type=LoadBalancer"]
    with unmade_namespace(cluster, "by-loading") as namespace:
        said = deploy(cluster, checkout, namespace.name, *words)
        assert "kubectl" in said.stdout
        wait_for_pods(namespace, 2)
        namespace.helm("test", "heliograph", "--timeout", "120s")
        port = namespace.get("service", "heliograph")["spec"]["ports"][0]["nodePort"]
        for address in cluster.node_addresses():
            check_answers(f"http://{address}:{port}", pictures)
        balancer = wait_until_balanced(namespace)
        check_answers(balancer, pictures)
        assert workers_that_answer(balancer, pictures, 40) == set(namespace.ready_pods())
        with namespace.forwarded() as url:
            check_answers(url, pictures)

        before = generation(namespace)
        deploy(cluster, checkout, namespace.name, *words)
        assert generation(namespace) == before, "the same image again must not roll the pods"
        for _ in range(2):
            cluster.run(checkout / "scripts" / "cleanup", "--namespace", namespace.name, folder=checkout)
        assert not cluster.kubectl("get", "namespace", namespace.name, "--ignore-not-found").strip()


def wait_until_balanced(namespace: Namespace) -> str:
    """The Service's external address."""

    def addresses() -> list[dict[str, str]]:
        status = namespace.get("service", "heliograph")["status"]
        return list(status["loadBalancer"].get("ingress", ()))

    wait_until("an external address", addresses, 30)
    return f"http://{addresses()[0]['ip']}"


def test_a_pod_is_ready_soon(cluster: Cluster, image: str, measured: Callable[[str], None]) -> None:
    """The best of a few starts counts: the cores are shared with the control plane and with whatever else runs."""
    seconds = []
    with cluster.namespace("starts") as namespace:
        install(namespace, image, *FIXED[:1], "serve.replicas=1")
        for _ in range(STARTS):
            old = namespace.ready_pods()
            namespace.kubectl("delete", "pod", *old)
            wait_for_pods(namespace, 1)
            seconds.append(seconds_to_ready(namespace.pods()[0]))
    measured(f"from the container's start to ready: {seconds} s")
    assert min(seconds) < READY_SECONDS


def test_deploy_through_a_registry(cluster: Cluster, checkout: Path, image: str, pictures: Path) -> None:
    """The image is pushed, and the nodes pull it."""
    assert image
    words = ["--image", "localhost:5000/heliograph", "--push", "--set", "image.pullPolicy=Always"]
    # Of an image that a node has pulled, Kubernetes asks the registry again under every name: this is another one.
    words += ["--build-arg", "REVISION=pushed", *SMALL_WORDS]
    with unmade_namespace(cluster, "by-registry") as namespace:
        deploy(cluster, checkout, namespace.name, *words)
        wait_for_pods(namespace, 2)
        messages = [event["message"] for event in namespace.get("events")["items"]]
        assert any("Successfully pulled image" in message for message in messages)
        with namespace.forwarded() as url:
            check_answers(url, pictures)


def test_plain_manifests(cluster: Cluster, checkout: Path, image: str, pictures: Path) -> None:
    """``kubectl apply -f`` alone is enough, once the image has the name that the manifests give."""
    with cluster.namespace("plain") as namespace:
        manifest = (checkout / "manifests" / "heliograph.yaml").read_text()
        named = next(line.split()[-1].strip('"') for line in manifest.splitlines() if " image: " in line)
        cluster.run("docker", "tag", image, named)
        cluster.load_image(named)
        namespace.kubectl("apply", "-f", checkout / "manifests" / "heliograph.yaml")
        wait_until("two ready pods", lambda: len(namespace.ready_pods()) >= 2, 60)
        with namespace.forwarded() as url:
            check_answers(url, pictures)


def test_keys_from_a_secret(cluster: Cluster, image: str, pictures: Path) -> None:
    """Without a key nobody is answered; the chart's own test passes all the same."""
    key, stored = create_key("ci", [Scope.PREDICT])
    with cluster.namespace("keys") as namespace:
        namespace.kubectl(
            "create", "secret", "generic", "heliograph-keys", f"--from-literal=api-keys={stored.line()}"
        )
        install(namespace, image, *FIXED, "auth.existingSecret=heliograph-keys", "service.type=NodePort")
        port = namespace.get("service", "heliograph")["spec"]["ports"][0]["nodePort"]
        url = f"http://{cluster.node_addresses()[0]}:{port}"
        assert post(url, "/classify", pictures / "cat.jpg").status_code == 401
        assert post(url, "/classify", pictures / "cat.jpg", key).status_code == 200
        namespace.helm("test", "heliograph", "--timeout", "120s")


def test_weights_from_a_volume(cluster: Cluster, image: str, pictures: Path, data_folder: Path) -> None:
    """Weights that are not in the image are read from a mounted volume."""
    with cluster.namespace("volume") as namespace:
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(WEIGHTS_CLAIM))
        namespace.enforce("privileged")  # the volume belongs to root: somebody must put the file there
        namespace.kubectl("apply", "-f", "-", stdin=json.dumps(filling_pod(image)))
        namespace.kubectl("wait", "pod/filling", "--for=condition=Ready", "--timeout=60s")
        namespace.kubectl(
            "cp", data_folder / "u2net" / "u2netp_fp16w.onnx", "filling:/models/u2netp_fp16w.onnx"
        )
        namespace.kubectl("delete", "pod", "filling", "--grace-period=0", "--force")
        namespace.enforce("restricted")
        without_baked = ["serve.extraEnv[0].name=HELIOGRAPH_MODEL_DIR", "serve.extraEnv[0].value=/tmp/models"]
        volume = "models.volume.persistentVolumeClaim.claimName=weights"
        install(namespace, image, *FIXED, *without_baked, "models.serve={kmnist,u2netp}", volume)
        with namespace.forwarded() as url:
            assert post(url, "/remove-background", pictures / "coffee.jpg").status_code == 200


WEIGHTS_CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "weights"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
}


def filling_pod(image: str) -> Json:
    """A pod of root that holds the volume open for writing."""
    pod = restricted_pod("filling", image, ["-c", "import time; time.sleep(300)"])
    pod["spec"]["securityContext"] = {"runAsUser": 0}
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "weights", "mountPath": "/models"}]
    pod["spec"]["volumes"] = [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}]
    return pod


def test_live_replicas_survive_an_upgrade(cluster: Cluster, image: str) -> None:
    """What somebody set on the autoscaler stays, unless the values themselves change."""
    with cluster.namespace("upgraded") as namespace:
        install(namespace, image, "serve.autoscaling.minReplicas=1", "serve.autoscaling.maxReplicas=4")
        patch = json.dumps({"spec": {"minReplicas": 2, "maxReplicas": 3}})
        namespace.kubectl("patch", "hpa", "heliograph", "--type=merge", "-p", patch)
        install(
            namespace,
            image,
            "serve.autoscaling.minReplicas=1",
            "serve.autoscaling.maxReplicas=4",
            "settings.maxInFlight=32",
        )
        assert limits(namespace) == (2, 3)
        changed = ["serve.autoscaling.minReplicas=1", "serve.autoscaling.maxReplicas=5"]
        install(namespace, image, *changed, options=["--force-conflicts"])
        assert limits(namespace) == (1, 5)


def limits(namespace: Namespace) -> tuple[int, int]:
    """The autoscaler's bounds."""
    spec = namespace.get("hpa", "heliograph")["spec"]
    return spec["minReplicas"], spec["maxReplicas"]
