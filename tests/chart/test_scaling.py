"""How many pods there are, and who decides it."""

from __future__ import annotations

from chart.rendering import Values, of_kind, one, refusal, values

FIXED = values(serve__autoscaling__enabled=False)
ANNOTATION = "heliograph/replicas-by-values"


def autoscaler(given: Values | None = None) -> dict[str, object]:
    spec: dict[str, object] = one("HorizontalPodAutoscaler", given)["spec"]
    return spec


def test_the_autoscaler_follows_the_cpu_of_the_serving_container() -> None:
    spec = autoscaler()
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "heliograph"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 6)
    assert spec["metrics"] == [
        {
            "type": "ContainerResource",
            "containerResource": {
                "container": "heliograph",
                "name": "cpu",
                "target": {"type": "Utilization", "averageUtilization": 70},
            },
        }
    ]


def test_it_goes_up_at_once_and_down_after_a_while() -> None:
    behavior = one("HorizontalPodAutoscaler")["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 300
    given = values(serve__autoscaling__behavior__scaleDown__stabilizationWindowSeconds=15)
    changed = one("HorizontalPodAutoscaler", given)["spec"]["behavior"]
    assert changed["scaleDown"] == {**behavior["scaleDown"], "stabilizationWindowSeconds": 15}


def test_the_deployment_leaves_the_number_to_the_autoscaler() -> None:
    assert "replicas" not in one("Deployment")["spec"]
    assert "annotations" not in one("Deployment")["metadata"]
    assert one("HorizontalPodAutoscaler")["metadata"]["annotations"] == {ANNOTATION: "2-6"}


def test_without_an_autoscaler_the_values_say_the_number() -> None:
    assert of_kind("HorizontalPodAutoscaler", FIXED) == []
    assert one("Deployment", FIXED)["spec"]["replicas"] == 2
    given = values(serve__autoscaling__enabled=False, serve__replicas=0)
    assert one("Deployment", given)["spec"]["replicas"] == 0
    assert one("Deployment", given)["metadata"]["annotations"] == {ANNOTATION: "0"}


def test_fewest_pods_above_most_pods_are_refused() -> None:
    message = refusal(values(serve__autoscaling__minReplicas=9))
    assert "minReplicas (9) is above maxReplicas (6)" in message
    assert "--set serve.autoscaling.maxReplicas=9" in message


def test_autoscaling_without_a_cpu_request_is_refused() -> None:
    assert "missing property 'cpu'" in refusal(values(serve__resources__requests__cpu=None))


def test_a_drain_takes_one_pod_at_a_time() -> None:
    spec = one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    given = values(serve__podDisruptionBudget__maxUnavailable="25%")
    assert one("PodDisruptionBudget", given)["spec"]["maxUnavailable"] == "25%"
    assert of_kind("PodDisruptionBudget", values(serve__podDisruptionBudget__enabled=False)) == []
