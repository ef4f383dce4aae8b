"""API keys: when they are asked for, where they are, and that nobody opens the door without saying so."""

from __future__ import annotations

import hashlib

import pytest

from chart.rendering import CHART, Values, container, environment, of_kind, pod, read_values, refusal, values
from heliograph.serving.access import Scope, create_key, parse_keys

LINES = (create_key("laptop", [Scope.PREDICT])[1].line(), create_key("ops", list(Scope))[1].line())
KEYS = values(auth__keys=list(LINES))
EXPOSED: dict[str, Values] = {
    "service.type NodePort": {"service": {"type": "NodePort"}},
    "service.type LoadBalancer": {"service": {"type": "LoadBalancer"}},
    "ingress.enabled": {"ingress": {"enabled": True, "hosts": [{"host": "a.example"}]}},
    "httpRoute.enabled": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
}


def keys_volume(given: Values) -> object:
    return next(volume["secret"] for volume in pod(given)["spec"]["volumes"] if volume["name"] == "keys")


def test_within_the_cluster_nobody_is_asked_by_default() -> None:
    assert environment()["HELIOGRAPH_AUTH"] == "off"
    assert "HELIOGRAPH_API_KEYS_FILE" not in environment()
    assert of_kind("Secret") == []


@pytest.mark.parametrize("what", EXPOSED)
def test_outside_the_cluster_somebody_must_say_so(what: str) -> None:
    message = refusal(EXPOSED[what])
    assert f"{what} would let everybody in" in message
    assert "--set auth.mode=off" in message
    assert "heliograph keys create" in message


@pytest.mark.parametrize("what", EXPOSED)
@pytest.mark.parametrize(
    "auth", [{"mode": "off"}, {"mode": False}, {"keys": [LINES[0]]}], ids=["off", "false", "keys"]
)
def test_outside_the_cluster_it_may_be_said_in_either_way(what: str, auth: Values) -> None:
    assert environment({**EXPOSED[what], "auth": auth})["HELIOGRAPH_AUTH"] == (
        "auto" if "keys" in auth else "off"
    )


def test_keys_lie_in_a_secret_that_the_program_reads() -> None:
    (secret,) = of_kind("Secret", KEYS)
    read = parse_keys(secret["stringData"]["api-keys"], origin="the Secret")
    assert tuple(key.line() for key in read) == LINES
    assert environment(KEYS)["HELIOGRAPH_API_KEYS_FILE"] == "/etc/heliograph/keys/api-keys"
    assert environment(KEYS)["HELIOGRAPH_AUTH"] == "auto"
    assert keys_volume(KEYS) == {"secretName": "heliograph-keys", "defaultMode": 0o440}
    mounts = container(KEYS)["volumeMounts"]
    assert {"name": "keys", "mountPath": "/etc/heliograph/keys", "readOnly": True} in mounts


def test_an_existing_secret_is_used_and_none_is_made() -> None:
    given = values(auth__existingSecret="team", auth__existingSecretKey="keys.txt")
    assert of_kind("Secret", given) == []
    assert keys_volume(given) == {"secretName": "team", "defaultMode": 0o440}
    assert environment(given)["HELIOGRAPH_API_KEYS_FILE"] == "/etc/heliograph/keys/keys.txt"


def test_pods_roll_when_keys_change() -> None:
    def checksum(given: Values) -> object:
        return pod(given)["metadata"]["annotations"].get("checksum/keys")

    assert checksum({}) is None
    assert checksum(KEYS) != checksum(values(auth__keys=[LINES[0]]))


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"mode": "keys"}, "auth.mode is `keys`, but there are none."),
        ({"mode": "off", "keys": [LINES[0]]}, "auth.mode is `off`, but API keys are given."),
        ({"mode": "off", "existingSecret": "team"}, "auth.mode is `off`, but API keys are given."),
        (
            {"existingSecret": "team", "keys": [LINES[0]]},
            "auth.keys and auth.existingSecret are both given.",
        ),
    ],
    ids=["no keys", "off and keys", "off and a secret", "keys and a secret"],
)
def test_contradictions_are_refused_with_what_helps(auth: Values, words: str) -> None:
    message = refusal({"auth": auth})
    assert words in message
    assert "--set" in message or "leave out" in message


def test_the_key_in_the_example_is_the_one_that_its_comment_names() -> None:
    path = CHART / "ci" / "keys-values.yaml"
    assert "`hg_example`" in path.read_text(encoding="utf-8")
    line = read_values(path)["auth"]["keys"][0]
    assert line == f"example predict {hashlib.sha256(b'hg_example').hexdigest()}"
