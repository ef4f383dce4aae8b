"""What Helm prints after an installation: commands that fit this very installation, and warnings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chart.rendering import CI_FILES, Values, notes, read_values, values

OPEN = {"mode": "off"}
KEY = "laptop predict " + "0" * 64


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "ADDRESS=http://localhost:8080"),
        ({"service": {"port": 81}}, "port-forward service/heliograph 8080:81 &"),
        ({"auth": OPEN, "service": {"type": "NodePort"}}, "ADDRESS=http://$NODE:$PORT"),
        (
            {"auth": OPEN, "service": {"type": "LoadBalancer", "port": 81}},
            "{.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}'):81",
        ),
        (
            {"auth": OPEN, "ingress": {"enabled": True, "hosts": [{"host": "a.example"}]}},
            "ADDRESS=http://a.example",
        ),
        (
            {"auth": OPEN, "ingress": {"enabled": True, "hosts": [{"host": "a.example"}], "tls": [{}]}},
            "ADDRESS=https://a.example",
        ),
        (
            {
                "auth": OPEN,
                "httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}], "hostnames": ["a.example"]},
            },
            "ADDRESS=http://a.example",
        ),
        (
            {"auth": OPEN, "httpRoute": {"enabled": True, "parentRefs": [{"name": "g", "namespace": "n"}]}},
            "kubectl --namespace n get gateway g",
        ),
    ],
    ids=str,
)
def test_the_address_is_that_of_the_way_that_was_chosen(given: Values, address: str) -> None:
    assert address in notes(given)


def test_the_first_request_carries_a_key_where_one_is_wanted() -> None:
    assert "curl -F image=@picture.jpg $ADDRESS/classify" in notes()
    with_keys = notes(values(auth__keys=[KEY]))
    assert 'curl -H "Authorization: Bearer $KEY" -F image=@picture.jpg $ADDRESS/classify' in with_keys
    assert "Secret heliograph-keys" in with_keys
    assert "Secret team" in notes(values(auth__existingSecret="team"))


def test_the_autoscaler_is_shown_where_there_is_one() -> None:
    assert "get hpa,pods" in notes()
    assert "get pods" in notes(values(serve__autoscaling__enabled=False))


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        ({"auth": OPEN, "service": {"type": "NodePort"}}, "nobody is asked for an API key"),
        ({"auth": {"keys": [KEY]}, "service": {"type": "NodePort"}}, "is plain HTTP"),
        ({"serve": {"autoscaling": {"minReplicas": 1}}}, "With minReplicas 1"),
        ({"serve": {"autoscaling": {"enabled": False}, "replicas": 1}}, "With less than 2 replicas"),
        ({"models": {"volume": {"hostPath": {"path": "/srv"}}}}, "Pod Security `restricted` refuses"),
    ],
    ids=str,
)
def test_risks_are_named_and_only_where_they_are(given: Values, warning: str) -> None:
    assert warning in notes(given)
    assert warning not in notes()


@pytest.mark.parametrize("path", CI_FILES, ids=lambda path: path.stem)
def test_the_commands_are_shell(path: Path) -> None:
    text = notes(read_values(path))
    commands = "\n".join(re.findall(r"^ {5}(\S.*)$", text, re.MULTILINE))
    assert "kubectl --namespace pictures " in commands
    bash = shutil.which("bash")
    assert bash is not None
    result = subprocess.run([bash, "-n"], input=commands, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not re.search(r"\n\n\n|[ \t]\n", text), "no empty lines in a row, no trailing blanks"
