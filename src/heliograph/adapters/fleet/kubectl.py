"""Command lines of kubectl that do what was done here, to be pasted into a shell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
NAME_CHARACTERS = 253


def is_name(text: str) -> bool:
    """Whether an object of Kubernetes can have this name."""
    return len(text) <= NAME_CHARACTERS and NAME.fullmatch(text) is not None


def kubectl(namespace: str, *words: str) -> str:
    """A command line."""
    return shlex.join(["kubectl", "--namespace", namespace, *words])


def patch(namespace: str, kind: str, name: str, change: Mapping[str, Any]) -> str:
    """The command line for a JSON merge patch."""
    return kubectl(namespace, "patch", kind, name, "--type", "merge", "--patch", json.dumps(change))
