"""The Deployment and its pods: image, settings, probes, stopping, placement, and what may be added."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from chart.rendering import CHART, Values, container, environment, of_kind, one, pod, refusal, values
from heliograph import __version__
from heliograph.settings import Settings

LONG = "a-release-with-a-name-that-is-as-long-as-helm-allows"


def test_the_image_is_the_version_of_the_chart_unless_said_otherwise() -> None:
    assert container()["image"] == f"heliograph:{__version__}"
    assert container(values(image__repository="r.example/h", image__tag="7"))["image"] == "r.example/h:7"


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "0" * 64
    assert container(values(image__tag="7", image__digest=digest))["image"] == f"heliograph@{digest}"


def test_who_pulls_the_image() -> None:
    assert "imagePullSecrets" not in pod()["spec"]
    given = values(image__pullSecrets=[{"name": "login"}], image__pullPolicy="Always")
    assert pod(given)["spec"]["imagePullSecrets"] == [{"name": "login"}]
    assert container(given)["imagePullPolicy"] == "Always"


@pytest.mark.parametrize(
    ("release", "given", "name"),
    [
        ("heliograph", {}, "heliograph"),
        ("my-heliograph", {}, "my-heliograph"),
        ("photos", {}, "photos-heliograph"),
        ("photos", {"nameOverride": "classifier"}, "photos-classifier"),
        ("photos", {"fullnameOverride": "classifier"}, "classifier"),
        (LONG, {}, LONG[:40].rstrip("-")),
    ],
)
def test_names(release: str, given: Values, name: str) -> None:
    assert one("Deployment", given, release=release)["metadata"]["name"] == name
    for kind in ("Service", "ConfigMap", "HorizontalPodAutoscaler"):
        for entry in of_kind(kind, given, release=release):
            assert entry["metadata"]["name"].startswith(name)
            assert len(entry["metadata"]["name"]) <= 63


def test_selectors_are_minimal_and_do_not_change_with_the_version() -> None:
    wanted = {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}
    given = values(commonLabels={"a/b": "c"}, serve__podLabels={"d/e": "f"}, image__tag="7")
    for changed in ({}, given):
        selector = one("Deployment", changed)["spec"]["selector"]["matchLabels"]
        assert set(selector) == wanted
        assert selector == one("Service", changed)["spec"]["selector"]
        assert selector == one("PodDisruptionBudget", changed)["spec"]["selector"]["matchLabels"]
        assert selector.items() <= pod(changed)["metadata"]["labels"].items()


def test_labels_are_text_whatever_the_release_is_called() -> None:
    labels = one("Deployment", release="2026")["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "2026"


def test_labels_and_annotations_of_ones_own() -> None:
    given = values(
        commonLabels={"a/b": "c"},
        serve__podLabels={"d/e": "f"},
        serve__podAnnotations={"g/h": "i"},
        serve__annotations={"j/k": "l"},
    )
    assert pod(given)["metadata"]["labels"].items() >= {"a/b": "c", "d/e": "f"}.items()
    assert pod(given)["metadata"]["annotations"]["g/h"] == "i"
    assert one("Deployment", given)["metadata"]["annotations"] == {"j/k": "l"}
    assert one("ConfigMap", given, suffix="-settings")["metadata"]["labels"]["a/b"] == "c"
    assert "d/e" not in one("Deployment", given)["metadata"]["labels"]


def test_the_pods_do_not_roll_for_a_new_version_of_the_chart_alone() -> None:
    assert "helm.sh/chart" in one("Deployment")["metadata"]["labels"]
    assert "helm.sh/chart" not in pod()["metadata"]["labels"]


def test_settings_become_variables_that_the_program_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "maxInFlight": 32,
        "maxPictureBytes": 30_000_000,
        "maxUploadBytes": 1_000_000_000,
        "maxWaitSeconds": 0.0005,
        "drainSeconds": 12.5,
        "logLevel": "debug",
        "classificationModel": "kmnist",
    }
    given = values(settings=settings, models__serve=["kmnist", "u2netp"])
    for name, value in environment(given).items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.max_in_flight == 32
    assert read.max_picture_bytes == 30_000_000
    assert read.max_upload_bytes == 1_000_000_000
    assert read.max_wait_seconds == 0.0005
    assert read.drain_seconds == 12.5
    assert read.log_level == "debug"
    assert read.classification_model == "kmnist"
    assert read.models == ("kmnist", "u2netp")
    assert (read.host, read.port, read.ops_port) == (environment()["HELIOGRAPH_HOST"], 8000, 8001)
    assert not read.on_loopback


def test_every_variable_is_a_setting() -> None:
    everything = yaml.safe_load((CHART / "ci" / "everything-values.yaml").read_text(encoding="utf-8"))
    known = {f"HELIOGRAPH_{name.upper()}" for name in Settings.model_fields}
    assert set(environment(everything)) <= known


def test_threads_are_the_cpu_request_rounded_up() -> None:
    (threads,) = container()["env"]
    assert threads["name"] == "HELIOGRAPH_THREADS"
    source = threads["valueFrom"]["resourceFieldRef"]
    assert source == {"containerName": "heliograph", "resource": "requests.cpu", "divisor": "1"}
    given = values(serve__extraEnv=[{"name": "HELIOGRAPH_THREADS", "value": "4"}])
    assert "--set serve.resources.requests.cpu=2" in refusal(given)


def test_variables_of_ones_own() -> None:
    given = values(
        serve__extraEnv=[{"name": "TZ", "value": "UTC"}], serve__extraEnvFrom=[{"secretRef": {"name": "s"}}]
    )
    assert container(given)["env"][-1] == {"name": "TZ", "value": "UTC"}
    assert container(given)["envFrom"] == [
        {"configMapRef": {"name": "heliograph-settings"}},
        {"secretRef": {"name": "s"}},
    ]


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 5 + 60 + 30 + 8),
        ({"drainSeconds": 20}, 20 + 60 + 30 + 8),
        ({"drainSeconds": 0, "uploadTimeoutSeconds": 10, "requestTimeoutSeconds": 120}, 10 + 120 + 8),
        ({"drainSeconds": 0.2}, 1 + 60 + 30 + 8),
    ],
)
def test_a_pod_may_take_as_long_to_stop_as_what_it_took_needs(settings: Values, seconds: int) -> None:
    assert pod({"settings": settings})["spec"]["terminationGracePeriodSeconds"] == seconds


def test_nothing_but_the_process_itself_stops_it() -> None:
    assert "lifecycle" not in container()


@pytest.mark.parametrize(
    ("name", "path"),
    [("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")],
)
def test_probes_ask_the_operations_port(name: str, path: str) -> None:
    assert container()[name]["httpGet"] == {"path": path, "port": "ops"}
    assert {"name": "ops", "containerPort": 8001, "protocol": "TCP"} in container()["ports"]


def test_probes_are_quick_at_the_start_and_patient_later() -> None:
    startup, liveness = container()["startupProbe"], container()["livenessProbe"]
    assert startup["periodSeconds"] == 1
    assert startup["failureThreshold"] >= 60
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    given = values(serve__probes__readiness__periodSeconds=7)
    assert container(given)["readinessProbe"]["periodSeconds"] == 7


def test_the_only_folder_that_can_be_written_is_bounded() -> None:
    assert container()["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod()["spec"]["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    assert [mount["name"] for mount in container()["volumeMounts"]] == ["tmp"]
    assert pod(values(serve__tmpSizeLimit="1Gi"))["spec"]["volumes"][0]["emptyDir"] == {"sizeLimit": "1Gi"}


def test_user_ids_can_be_left_to_the_platform() -> None:
    nobody = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    context = pod(values(serve__podSecurityContext=nobody))["spec"]["securityContext"]
    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True


def test_weights_may_come_from_a_volume() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "models"}}
    given = values(models__volume=claim)
    assert "HELIOGRAPH_MODEL_MIRRORS" not in environment()
    assert environment(given)["HELIOGRAPH_MODEL_MIRRORS"] == "/models"
    assert {"name": "models", **claim} in pod(given)["spec"]["volumes"]
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container(given)["volumeMounts"]


def test_with_a_store_in_the_volume_the_weights_of_the_image_stay_in_use() -> None:
    given = values(models__volume={"emptyDir": {}}, settings__modelDir="/models")
    assert environment(given)["HELIOGRAPH_MODEL_DIR"] == "/models"
    assert environment(given)["HELIOGRAPH_MODEL_MIRRORS"] == "/models:/opt/heliograph/models"


def test_a_default_model_that_is_not_served_is_refused() -> None:
    for setting in ("classificationModel", "backgroundModel"):
        given: dict[str, Any] = {"settings": {setting: "u2net"}, "models": {"serve": ["kmnist"]}}
        assert "--set 'models.serve={kmnist,u2net}'" in refusal(given)


def test_the_environment_is_not_filled_with_service_addresses() -> None:
    assert pod()["spec"]["enableServiceLinks"] is False


def test_a_node_that_is_gone_is_left_soon() -> None:
    def seconds(given: Values | None = None) -> dict[str, int]:
        return {t["key"]: t["tolerationSeconds"] for t in pod(given)["spec"]["tolerations"]}

    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    assert seconds() == dict.fromkeys(keys, 30)
    assert seconds(values(serve__nodeFailureSeconds=0)) == dict.fromkeys(keys, 0)
    more = [{"key": "gpu", "operator": "Exists"}]
    assert pod(values(serve__tolerations=more))["spec"]["tolerations"][2:] == more


def test_pods_prefer_different_zones_and_nodes() -> None:
    spread = pod()["spec"]["topologySpreadConstraints"]
    assert [rule["topologyKey"] for rule in spread] == [
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    ]
    for rule in spread:
        assert rule["whenUnsatisfiable"] == "ScheduleAnyway"
        assert rule["matchLabelKeys"] == ["pod-template-hash"]
        assert rule["labelSelector"]["matchLabels"] == one("Deployment")["spec"]["selector"]["matchLabels"]
    assert "topologySpreadConstraints" not in pod(values(serve__topologySpread__enabled=False))["spec"]


def test_placement_and_additions_reach_the_pod() -> None:
    given = values(
        serve__nodeSelector={"a/b": "c"},
        serve__affinity={"podAntiAffinity": {}},
        serve__priorityClassName="high",
        serve__initContainers=[{"name": "before"}],
        serve__extraContainers=[{"name": "beside"}],
        serve__extraVolumes=[{"name": "more", "emptyDir": {}}],
        serve__extraVolumeMounts=[{"name": "more", "mountPath": "/more"}],
    )
    spec = pod(given)["spec"]
    assert spec["nodeSelector"] == {"a/b": "c"}
    assert spec["affinity"] == {"podAntiAffinity": {}}
    assert spec["priorityClassName"] == "high"
    assert spec["initContainers"] == [{"name": "before"}]
    assert [entry["name"] for entry in spec["containers"]] == ["heliograph", "beside"]
    assert spec["volumes"][-1]["name"] == "more"
    assert container(given)["volumeMounts"][-1] == {"name": "more", "mountPath": "/more"}


def test_a_new_version_comes_before_the_old_one_goes() -> None:
    strategy = one("Deployment")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize(
    "changed",
    [{"settings": {"maxInFlight": 3}}, {"models": {"serve": ["kmnist"]}}, {"auth": {"mode": "off"}}],
)
def test_pods_roll_when_settings_change_and_only_then(changed: Values) -> None:
    def checksum(given: Values) -> str:
        text: str = pod(given)["metadata"]["annotations"]["checksum/settings"]
        return text

    same = environment(changed) == environment()
    assert (checksum(changed) == checksum({})) is same
    assert checksum(values(service__port=81)) == checksum({})
