"""What a pod of a given size does: pictures a second, latency and memory of the container image under CPU limits.

The container is limited as Kubernetes limits a pod; the client runs on the machine's last core, outside of it. The
numbers fill the sizing table of ``docs/kubernetes.md``; ratios between the rows hold on other machines, the numbers
themselves do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import closed_loop
from serve import free_port, pictures, pinned

WINDOW_SECONDS = 20.0
MEDIA_TYPE = "application/octet-stream"
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request, and how many clients send it."""

    name: str
    path: str
    connections: int


WORKS = (
    Work("EfficientNet-Lite0", "/classify", 16),
    Work("U²-Netp", "/remove-background", 4),
    Work("both", "", 16),
)


@contextmanager
def container(image: str, cpus: float, memory: str, port: int, core: str) -> Iterator[str]:
    """The id of a container that serves, within limits; ready when entered."""
    threads = math.ceil(cpus)
    command = ["docker", "run", "--detach", "--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
    command += ["--cpus", str(cpus), "--cpuset-cpus", core, "--memory", memory, "--memory-swap", memory]
    command += [
        "--env",
        "HELIOGRAPH_AUTH=off",
        "--env",
        f"HELIOGRAPH_THREADS={threads}",
        "--publish",
        f"{port}:8000",
    ]
    name = subprocess.run([*command, image], check=True, capture_output=True, text=True).stdout.strip()
    try:
        deadline = time.monotonic() + START_SECONDS
        while health(port) != 200:
            if time.monotonic() > deadline:
                sys.exit(f"The container did not get ready with {cpus} CPUs and {memory}.")
            time.sleep(0.05)
        yield name
    finally:
        subprocess.run(["docker", "stop", "--time", "20", name], check=False, capture_output=True)


def health(port: int) -> int:
    """The status of the readiness probe; 0 while nobody answers."""
    command = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", f"http://127.0.0.1:{port}/readyz"]
    return int(subprocess.run(command, check=False, capture_output=True, text=True).stdout or 0)


def peak_megabytes(name: str) -> float:
    """The most memory that the process of a container has held so far, in MiB."""
    status = subprocess.run(
        ["docker", "exec", name, "cat", "/proc/1/status"], check=True, capture_output=True, text=True
    ).stdout
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def requests_of(work: Work, files: list[bytes]) -> list[bytes]:
    """The requests of one kind of work, or the two kinds mixed, one cut-out to four classifications."""
    if work.path:
        return [closed_loop.post(work.path, file, MEDIA_TYPE) for file in files]
    mixed = []
    for number, file in enumerate(files):
        path = "/remove-background" if number % 5 == 4 else "/classify"
        mixed.append(closed_loop.post(path, file, MEDIA_TYPE))
    return mixed


def measure(image: str, cpus: float, memory: str, work: Work, files: list[bytes]) -> dict[str, object]:
    """One row of the table."""
    port, client = free_port(), os.cpu_count() or 1
    requests = requests_of(work, files)
    with container(image, cpus, memory, port, f"0-{client - 2}" if client > 2 else "0") as name:
        idle = peak_megabytes(name)
        with pinned((client - 1,)):
            window = asyncio.run(
                closed_loop.run(port, requests, connections=work.connections, seconds=WINDOW_SECONDS)
            )
        peak = peak_megabytes(name)
    return {
        "cpus": cpus,
        "work": work.name,
        "pictures_per_second": round(window.rate, 2),
        "p50_ms": round(window.percentile(50)),
        "p95_ms": round(window.percentile(95)),
        "statuses": dict(window.statuses),
        "idle_mib": round(idle),
        "peak_mib": round(peak),
    }


def main() -> None:
    """Measures and prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("--pictures", type=Path, default=Path("samples"))
    parser.add_argument("--cpus", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--memory", default="1g")
    given = parser.parse_args()
    files = pictures(given.pictures, 25)
    for cpus in given.cpus:
        for work in WORKS:
            print(json.dumps(measure(given.image, cpus, given.memory, work, files)), flush=True)


if __name__ == "__main__":
    main()
