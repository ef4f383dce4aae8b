"""Renders the plain manifests in ``manifests/`` from the chart; ``--check`` only says whether they are fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from kubernetes_tools import ToolsMissing, find, fit_this_machine

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "heliograph"
HEADER = """\
# Heliograph for `kubectl apply`, without Helm. {what}
# Rendered from charts/heliograph by `make manifests`; edit that instead.
#
#   kubectl create namespace heliograph
{before}#   kubectl --namespace heliograph apply -f manifests/{name}
#
# The image heliograph:VERSION must be known to the nodes; name one in a registry of yours where it says `image:`.
# After a change of the ConfigMap: kubectl --namespace heliograph rollout restart deployment
"""
NAMESPACE = "heliograph"
PASSWORD = (
    "#   kubectl --namespace heliograph create secret generic heliograph-queue "
    "--from-literal=password=$(openssl rand -hex 16)\n"
)
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "heliograph.yaml": ("Only the cluster can reach it, and nobody is asked for an API key.", ()),
    "heliograph-nodeport.yaml": (
        "At port 30080 of every node, and nobody is asked for an API key.",
        ("auth.mode=off", "service.type=NodePort", "service.nodePort=30080"),
    ),
    "heliograph-queue.yaml": (
        "With a queue: nothing accepted is lost. Only the cluster can reach it, and nobody is asked for an API key.",
        ("mode=queue", "queue.existingSecret=heliograph-queue"),
    ),
}
HELM_ALONE = re.compile(
    # Who manages it, and notes with which Helm recognises a change: without Helm they would be wrong sooner or later.
    r"^ +(?:helm\.sh/chart|app\.kubernetes\.io/managed-by|checksum/\w+): .*\n"
    r"|^ +annotations:\n +heliograph/replicas-by-values: .*\n",
    re.MULTILINE,
)


def render(name: str) -> str:
    """One manifest file."""
    what, values = FILES[name]
    command = [
        str(find("helm")),
        "template",
        "heliograph",
        str(CHART),
        "--skip-tests",
        "--namespace",
        NAMESPACE,
    ]
    for value in values:
        command += ["--set", value]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    body = re.sub(r"\n{2,}", "\n", HELM_ALONE.sub("", result.stdout))
    before = PASSWORD if "mode=queue" in values else ""
    return HEADER.format(what=what, name=name, before=before) + body


def main() -> int:
    """Writes or checks; the exit status."""
    stale = []
    try:
        find("helm")
    except ToolsMissing as problem:
        print(problem, file=sys.stderr)
        return int(fit_this_machine())
    for name in FILES:
        path = ROOT / "manifests" / name
        content = render(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            stale.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_text(content, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"Out of date: {', '.join(stale)}. Run `make manifests`.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
