"""The chart, rendered by the real Helm: objects, notes, refusals. A run costs 0.1 s, so equal ones are made once."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from kubernetes_tools import find

CHART = Path(__file__).resolve().parents[2] / "charts" / "heliograph"
CI_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE = "heliograph"
NAMESPACE = "pictures"

FastLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Values: TypeAlias = Mapping[str, Any]
Manifest: TypeAlias = dict[str, Any]


class Refused(Exception):
    """Helm does not render these values; the message is what the user reads."""


def merged(first: Values, second: Values) -> dict[str, Any]:
    """Values as Helm merges them: the second win, objects are gone into."""
    result = dict(first)
    for name, value in second.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def values(**paths: object) -> dict[str, Any]:
    """Nested values from paths: ``values(service__type="NodePort")``; two underscores stand for a dot."""
    nested: dict[str, Any] = {}
    for path, value in paths.items():
        put(nested, path.split("__"), value)
    return nested


def put(nested: dict[str, Any], path: list[str], value: object) -> None:
    """Sets one value in nested ones."""
    *folders, last = path
    for name in folders:
        nested = nested.setdefault(name, {})
    nested[last] = value


def read_values(path: Path) -> dict[str, Any]:
    """The values of a file in ci/."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def render(given: Values | None = None, *, release: str = RELEASE) -> Sequence[Manifest]:
    """Every object, that of `helm test` and of ``extraObjects`` too. They are shared: do not change them.

    Raises:
        Refused: Helm says no.
    """
    return _parsed(text(given, release=release))


def text(given: Values | None = None, *, release: str = RELEASE) -> str:
    """What Helm renders, as it prints it."""
    return _text(json.dumps(given or {}, sort_keys=True), release)


def text_on(given: Values, *apis: str) -> str:
    """The same on a cluster that has these APIs besides those that all have."""
    words = [word for api in apis for word in ("--api-versions", api)]
    return _helm("template", json.dumps(given), RELEASE, *words)


@functools.cache
def _text(given: str, release: str) -> str:
    return _helm("template", given, release)


@functools.cache
def _parsed(manifests: str) -> Sequence[Manifest]:
    return [entry for entry in yaml.load_all(manifests, FastLoader) if entry]


def one(kind: str, given: Values | None = None, *, suffix: str = "", release: str = RELEASE) -> Manifest:
    """The object of a kind that has the full name with this suffix."""
    found = [
        entry
        for entry in of_kind(kind, given, release=release)
        if entry["metadata"]["name"] == full_name(given, release=release) + suffix
    ]
    assert len(found) == 1, f"{kind} {suffix}: {len(found)}"
    return found[0]


def of_kind(kind: str, given: Values | None = None, *, release: str = RELEASE) -> list[Manifest]:
    """All objects of a kind."""
    return [entry for entry in render(given, release=release) if entry["kind"] == kind]


def named(kind: str, name: str, given: Values | None = None) -> Manifest:
    """The object of a kind and a name."""
    (found,) = [entry for entry in of_kind(kind, given) if entry["metadata"]["name"] == name]
    return found


def full_name(given: Values | None = None, *, release: str = RELEASE) -> str:
    """The name of the Deployment."""
    name: str = of_kind("Deployment", given, release=release)[0]["metadata"]["name"]
    return name


def pod(given: Values | None = None) -> Manifest:
    """The pod template of the Deployment."""
    template: Manifest = one("Deployment", given)["spec"]["template"]
    return template


def container(given: Values | None = None) -> Manifest:
    """The container that serves."""
    found: Manifest = next(
        entry for entry in pod(given)["spec"]["containers"] if entry["name"] == "heliograph"
    )
    return found


def environment(given: Values | None = None) -> dict[str, str]:
    """The variables of the ConfigMap."""
    data: dict[str, str] = one("ConfigMap", given, suffix="-settings")["data"]
    return data


def helm_test_pod(given: Values | None = None) -> Manifest:
    """The pod of `helm test`."""
    return of_kind("Pod", given)[0]


@functools.cache
def _notes(given: str) -> str:
    return _helm("install", given, RELEASE).partition("NOTES:\n")[2]


def notes(given: Values | None = None) -> str:
    """What Helm prints after an installation."""
    return _notes(json.dumps(given or {}, sort_keys=True))


def refusal(given: Values) -> str:
    """Why Helm does not take these values."""
    try:
        render(given)
    except Refused as refused:
        return str(refused)
    raise AssertionError("these values were accepted")


def lint(path: Path) -> str:
    """What `helm lint --strict` says about a values file.

    Raises:
        Refused: it finds fault.
    """
    return _run("lint", str(CHART), "--strict", "--values", str(path))


def _helm(command: str, given: str, release: str, *options: str) -> str:
    dry = ("--dry-run=client",) if command == "install" else ()
    words = (command, release, str(CHART), "--namespace", NAMESPACE, "--values", "-", *dry, *options)
    return _run(*words, stdin=given)


def _run(*words: str, stdin: str = "") -> str:
    command = [str(find("helm")), *words]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Refused(result.stdout + result.stderr)
    return result.stdout
