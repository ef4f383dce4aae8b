"""HTTP against the in-process limit, in the same run: what the service adds to decode + infer.

The server runs on its cores, the client on the last one. Windows of both alternate, so that the machine's
moods meet both; ratios are of neighbouring windows, and the median is quoted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import closed_loop

from heliograph.bootstrap.parts import load_direct
from heliograph.serving.direct import DirectModel
from heliograph.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One line-up: the server's cores, how many connections, how long a window."""

    cores: tuple[int, ...]
    connections: int
    seconds: float
    windows: int
    model: str


def pictures(folder: Path, count: int) -> list[bytes]:
    """So many picture files of a folder, spread over it."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        sys.exit(f"No pictures in {folder}; `make samples` fetches some.")
    return [path.read_bytes() for path in files[:: max(1, len(files) // count)][:count]]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """Runs what is inside on these cores; children inherit them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def server(setting: Setting, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A ``heliograph serve`` process on the setting's cores."""
    environment = {
        **os.environ,
        "HELIOGRAPH_PORT": str(port),
        "HELIOGRAPH_MODELS": setting.model,
        "HELIOGRAPH_CLASSIFICATION_MODEL": setting.model,
    }
    with pinned(setting.cores):
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "serve"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def first_answer(port: int, picture: bytes, timeout: float = 30.0) -> list[dict[str, Any]]:
    """The first answer of a server that starts; it is asked until it listens."""
    end = time.perf_counter() + timeout
    while time.perf_counter() < end:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/classify", picture, {"Content-Type": "image/jpeg"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                labels: list[dict[str, Any]] = json.load(answer)
                return labels
        except urllib.error.URLError:
            time.sleep(0.005)
    sys.exit("The server did not answer.")


def limit_rate(model: DirectModel, files: list[bytes], setting: Setting) -> float:
    """Pictures a second, decode + infer in this process on the server's cores, one thread a core."""

    def work(offset: int) -> int:
        done = 0
        end = time.perf_counter() + setting.seconds
        while time.perf_counter() < end:
            model.classify(files[(offset + done) % len(files)])
            done += 1
        return done

    with pinned(setting.cores), ThreadPoolExecutor(len(setting.cores)) as threads:
        started = time.perf_counter()
        done = sum(threads.map(work, range(0, len(files), max(1, len(files) // len(setting.cores)))))
        return done / (time.perf_counter() - started)


def http_window(port: int, requests: list[bytes], setting: Setting, client_core: int) -> closed_loop.Window:
    """One window of the client on its own core."""
    with pinned((client_core,)):
        return asyncio.run(
            closed_loop.run(port, requests, connections=setting.connections, seconds=setting.seconds)
        )


def compare(setting: Setting, files: list[bytes], requests: list[bytes], client_core: int) -> dict[str, Any]:
    """Alternating windows of the limit and of HTTP; their ratio, and the latencies of HTTP."""
    settings = Settings(threads=len(setting.cores))
    port = free_port()
    with pinned(setting.cores):
        model = load_direct(setting.model, settings)
    expected = model.classify(files[0]).labels[0].label
    started = time.perf_counter()
    with model, server(setting, port):
        answer = first_answer(port, files[0])
        start_seconds = time.perf_counter() - started
        if answer[0]["label"] != expected:
            sys.exit(f"The server answered {answer[0]['label']}, in process it is {expected}.")
        http_window(port, requests, setting, client_core)  # warm-up, not counted
        rows = []
        for _ in range(setting.windows):
            before = limit_rate(model, files, setting)
            window = http_window(port, requests, setting, client_core)
            after = limit_rate(model, files, setting)
            rows.append((window, (before + after) / 2))
    return summarise(setting, rows, start_seconds)


def summarise(
    setting: Setting, rows: list[tuple[closed_loop.Window, float]], start_seconds: float
) -> dict[str, Any]:
    """The medians over the windows."""

    def median(value: Callable[[closed_loop.Window], float]) -> float:
        return statistics.median(value(window) for window, _ in rows)

    ratios = [window.rate / limit for window, limit in rows]
    return {
        "cores": len(setting.cores),
        "connections": setting.connections,
        "limit": statistics.median(limit for _, limit in rows),
        "http": median(lambda w: w.rate),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "p50_ms": median(lambda w: w.percentile(50)),
        "p95_ms": median(lambda w: w.percentile(95)),
        "p99_ms": median(lambda w: w.percentile(99)),
        "errors": sum(sum(w.failures.values()) + w.statuses.total() - w.statuses[200] for w, _ in rows),
        "start_seconds": start_seconds,
    }


COLUMNS = (
    "cores",
    "connections",
    "limit",
    "http",
    "ratio",
    "ratio_min",
    "ratio_max",
    "p50_ms",
    "p95_ms",
    "p99_ms",
)


def main() -> None:
    """Runs every line-up and prints a table; ``--json`` keeps the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, default=ROOT / "samples")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files = pictures(options.pictures, 50)
    requests = [closed_loop.post("/classify", body) for body in files]
    cores = sorted(os.sched_getaffinity(0))
    print(f"{options.model}, {len(files)} pictures, {options.windows} windows of {options.seconds:g} s")
    print("  ".join(f"{name:>11}" for name in (*COLUMNS, "start_s", "errors")))
    results = []
    line_ups = [((cores[0],), n) for n in options.connections] + [(tuple(cores[:2]), options.connections[-1])]
    for chosen, connections in line_ups:
        setting = Setting(chosen, connections, options.seconds, options.windows, options.model)
        row = compare(setting, files, requests, cores[-1])
        results.append(row)
        numbers = [f"{row[name]:>11.3g}" for name in (*COLUMNS, "start_seconds", "errors")]
        print("  ".join(numbers), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
