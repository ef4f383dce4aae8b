"""What decides how many pods there are: how it is named, read, set, and what it complains of."""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

import pytest

from heliograph.adapters.fleet.kubectl import is_name
from heliograph.adapters.fleet.scalers import Scaler, parse_scaler
from heliograph.core import errors
from heliograph.core.fleet import FleetBounds

HPA, KEDA, FIXED = (
    parse_scaler(f"{kind}/heliograph-worker") for kind in ("hpa", "scaledobject", "deployment")
)


def item(spec: dict[str, Any], *conditions: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)}}


def condition(kind: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def created(seconds_ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hpa",
        "hpa/",
        "/x",
        "HPA/x",
        "statefulset/x",
        "hpa/X",
        "hpa/a/b",
        "hpa/../b",
        "hpa/a b",
        "hpa/" + 254 * "a",
        "hpa/a\n",
        "hpa/-a",
        "deployment/\x1b[2J" + 60_000 * "x",
    ],
)
def test_what_is_no_scaler_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        errors.SettingsInvalid, match=r"one of hpa/NAME, scaledobject/NAME, deployment/NAME"
    ) as caught:
        parse_scaler(text)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("name", ["a", "a-1", "a.b-c.d", 253 * "a"])
def test_names(name: str) -> None:
    assert is_name(name)
    assert parse_scaler(f"hpa/{name}").name == name


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "../a", "a..b", "-a", "a-", "A", "ä", "a\x00", "a\n", 254 * "a"]
)
def test_hostile_names(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("scaler", "spec", "minimum", "maximum"),
    [
        (HPA, {"minReplicas": 2, "maxReplicas": 6}, 2, 6),
        (HPA, {"maxReplicas": 6}, 1, 6),
        (KEDA, {"minReplicaCount": 0, "maxReplicaCount": 6}, 0, 6),
        (KEDA, {}, 0, 100),
        (FIXED, {"replicas": 0}, 0, 0),
        (FIXED, {}, 1, 1),
    ],
)
def test_bounds_are_read(scaler: Scaler, spec: dict[str, int], minimum: int, maximum: int) -> None:
    assert scaler.bounds(item(spec)) == FleetBounds(minimum=minimum, maximum=maximum)


@pytest.mark.parametrize(
    ("scaler", "words", "patch"),
    [
        (HPA, ["patch", "hpa"], {"spec": {"minReplicas": 4, "maxReplicas": 4}}),
        (KEDA, ["patch", "scaledobject"], {"spec": {"minReplicaCount": 4, "maxReplicaCount": 4}}),
        (FIXED, ["scale", "deployment"], {"spec": {"replicas": 4}}),
    ],
)
def test_commands_do_what_is_done(scaler: Scaler, words: list[str], patch: dict[str, Any]) -> None:
    bounds = FleetBounds(minimum=4, maximum=4)
    scaler.check(bounds)
    assert scaler.patch(bounds) == patch
    said = shlex.split(scaler.command("here", bounds))
    assert said[:6] == ["kubectl", "--namespace", "here", *words, "heliograph-worker"]
    if words[0] == "patch":
        assert said[6:9] == ["--type", "merge", "--patch"]
        assert json.loads(said[9]) == patch
    else:
        assert said[6:] == ["--replicas", "4"]


def test_the_command_can_be_pasted() -> None:
    assert HPA.command("here", FleetBounds(minimum=2, maximum=6)) == (
        "kubectl --namespace here patch hpa heliograph-worker --type merge "
        """--patch '{"spec": {"minReplicas": 2, "maxReplicas": 6}}'"""
    )


@pytest.mark.parametrize(
    ("scaler", "minimum", "maximum", "said"),
    [
        (HPA, 0, 3, "keeps at least one"),
        (HPA, 0, 0, "keeps at least one"),
        (KEDA, 0, 0, "cannot be 0"),
        (FIXED, 1, 2, "have to be the same"),
    ],
)
def test_bounds_that_cannot_be_kept(scaler: Scaler, minimum: int, maximum: int, said: str) -> None:
    with pytest.raises(errors.ParameterInvalid, match=said):
        scaler.check(FleetBounds(minimum=minimum, maximum=maximum))


def test_keda_scales_to_none() -> None:
    KEDA.check(FleetBounds(minimum=0, maximum=1))


BLIND = (
    "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics."
)


@pytest.mark.parametrize(
    ("scaler", "conditions", "said"),
    [
        (HPA, [], ""),
        (HPA, [condition("AbleToScale", "True"), condition("ScalingActive", "True")], ""),
        (
            HPA,
            [condition("ScalingActive", "False", "ScalingDisabled", "replica count of the target is zero")],
            "The autoscaler does nothing while the number of workers is 0: set that of the Deployment w to 1 or more.",
        ),
        (
            HPA,
            [
                condition("AbleToScale", "True"),
                condition("ScalingActive", "False", "FailedGetResourceMetric", BLIND),
            ],
            f"The autoscaler does not see the load: FailedGetResourceMetric: {BLIND}",
        ),
        (
            HPA,
            [condition("AbleToScale", "False", "FailedGetScale", 'deployments.apps "w" not found')],
            'The autoscaler cannot set the number of workers: FailedGetScale: deployments.apps "w" not found.',
        ),
        (
            KEDA,
            [condition("Ready", "True"), condition("Fallback", "False"), condition("Active", "False")],
            "",
        ),
        (KEDA, [condition("Ready", "Unknown")], ""),
        (
            KEDA,
            [
                condition(
                    "Ready",
                    "False",
                    "TriggerError",
                    "Triggers defined in ScaledObject are not working correctly",
                )
            ],
            "KEDA does not see the load: TriggerError: Triggers defined in ScaledObject are not working correctly.",
        ),
        (
            KEDA,
            [condition("Ready", "True"), condition("Fallback", "True", "FallbackExists")],
            "KEDA does not see the load and keeps a fixed number of workers: FallbackExists.",
        ),
        (FIXED, [condition("Available", "True"), condition("Progressing", "True")], ""),
        (
            FIXED,
            [condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: small")],
            "The cluster does not start all workers: FailedCreate: exceeded quota: small.",
        ),
    ],
)
def test_obstacles(scaler: Scaler, conditions: list[dict[str, str]], said: str) -> None:
    spec = {"scaleTargetRef": {"name": "w"}}
    assert scaler.obstacle(item(spec, *conditions, creationTimestamp=created(100))) == said


def test_obstacles_are_one_line() -> None:
    said = HPA.obstacle(item({}, condition("ScalingActive", "False", "A\nB", 60_000 * "\x1b")))
    assert said.isprintable()
    assert len(said) < 300


@pytest.mark.parametrize(
    ("annotation", "value", "is_paused"),
    [
        ("paused", "true", True),
        ("paused", "false", False),
        ("paused-replicas", "0", True),
        ("paused-scale-in", "true", True),
        ("paused-scale-out", "true", True),
        ("other", "true", False),
    ],
)
def test_a_pause_is_told(annotation: str, value: str, *, is_paused: bool) -> None:
    name = f"autoscaling.keda.sh/{annotation}"
    said = KEDA.obstacle(item({}, condition("Ready", "True"), annotations={name: value}))
    assert said == (
        f"Scaling is paused by the annotation {name} of the ScaledObject heliograph-worker."
        if is_paused
        else ""
    )


def test_a_keda_that_does_not_run_is_told_after_a_while() -> None:
    assert KEDA.obstacle({"metadata": {"creationTimestamp": created(5)}, "spec": {}}) == ""
    assert "operator" in KEDA.obstacle({"metadata": {"creationTimestamp": created(60)}, "spec": {}})


def test_what_is_missing_is_told() -> None:
    assert "no HorizontalPodAutoscaler heliograph-worker in the namespace here" in HPA.missing("here")
    assert "no ScaledObject heliograph-worker" in KEDA.missing("here")
    assert KEDA.missing("here", is_kind_known=False).startswith("KEDA is not installed")
    assert "no Deployment heliograph-worker" in FIXED.missing("here")
