"""The real application over a queue whose worker is the test, on real sockets where streams need them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.api.app import create_app
from heliograph.api.server import HttpServer, ServerRules, serve_until
from heliograph.api.services import Services
from heliograph.bootstrap.parts import clock
from heliograph.bootstrap.sockets import listen
from heliograph.core.fleet import Fleet
from heliograph.core.jobs import JobProblem, JobResult, Outcome
from heliograph.core.pictures import PictureLimits
from heliograph.serving.events import EventFeed
from heliograph.serving.fleet import FleetView
from heliograph.serving.jobs import Jobs
from heliograph.serving.threads import WorkerThreads
from integration.applications import application
from queue_trials import Trial

WORKER = "worker-7"
PATIENCE_SECONDS = 20.0
FACTS = {"model": "colours", "version": "1", "worker": WORKER, "timings_ms": {"queue": 1.0, "decode": 0.5}}
LABELS = [{"label": "red", "probability": 0.5}]
LABELLED = JobResult(
    data=json.dumps(LABELS).encode(),
    media_type="application/json",
    facts=json.dumps({**FACTS, "timings_ms": {"queue": 1.0, "decode": 0.5, "infer": 2.0, "encode": 0.0}}),
)
BROKEN = JobProblem(code="picture-broken", message="The picture ends early.")


@dataclass
class Desk:
    """A client of the application, the queue behind it, and the worker that the test is."""

    client: httpx2.AsyncClient
    trial: Trial
    services: Services

    async def send(self, *pictures: bytes, **request: Any) -> httpx2.Response:
        """The answer to a request for jobs, its pictures named 0.png, 1.png and so on."""
        files = [("image", (f"{number}.png", data)) for number, data in enumerate(pictures)]
        return await self.client.post("/v1/jobs", files=files, **request)

    async def ids(self, *pictures: bytes, **request: Any) -> list[str]:
        """Ids of new jobs."""
        response = await self.send(*pictures, **request)
        assert response.status_code == 202, response.text
        return [job["id"] for job in response.json()["jobs"]]

    async def begin(self) -> Any:
        """Begins with everything that waits."""
        source = self.trial.source
        return await source.start(WORKER, await source.read(WORKER, count=1000))

    async def answer(self, answer: JobResult | JobProblem) -> None:
        """Answers everything that waits."""
        outcomes = [Outcome(assignment=one, answer=answer) for one in await self.begin()]
        assert all(await self.trial.source.finish(WORKER, outcomes))


@asynccontextmanager
async def desk(
    folder: Path, trial: Trial, *, fleet: Fleet | None = None, max_streams: int = 256, **settings: object
) -> AsyncIterator[Desk]:
    """The application over a queue."""
    async with application(folder, jobs=False, **settings) as running:
        feed = EventFeed(trial.desk, max_streams=max_streams)
        with WorkerThreads(1, name="inspect") as threads:
            services = replace(
                running.services,
                jobs=Jobs(trial.desk, PictureCodec(PictureLimits()), threads, durable=True),
                events=feed,
                fleet=FleetView(fleet, trial.desk) if fleet else None,
            )
            transport = httpx2.ASGITransport(create_app(services, clock=clock))
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                yield Desk(client, trial, services)
        await feed.close()


@dataclass
class Socket:
    """An application that listens, and its stop."""

    port: int
    stop: asyncio.Event
    serving: asyncio.Task[None]


@asynccontextmanager
async def on_socket(services: Services) -> AsyncIterator[Socket]:
    """The application on a real socket, in this event loop."""
    rules = ServerRules(drain_seconds=0.0, finish_seconds=5.0)
    listener, stop = listen("127.0.0.1", 0), asyncio.Event()
    server = HttpServer(create_app(services, clock=clock), listener, rules)
    serving = asyncio.ensure_future(serve_until(stop, [server], lifecycle=services.lifecycle, rules=rules))
    try:
        yield Socket(listener.getsockname()[1], stop, serving)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await serving


@dataclass
class Stream:
    """An open stream of events."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    rest: str = ""

    async def next(self) -> dict[str, Any]:
        """The next event: its fields, the data parsed. Comments and the numbers, which come by time, are left out."""
        while (event := await self.next_of_all())["event"] == "numbers":
            pass
        return event

    async def next_of_all(self) -> dict[str, Any]:
        """The next event, the numbers included."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                fields = await self._block()
                if "event" in fields:
                    return {**fields, "data": json.loads(fields["data"])}

    async def until(self, *names: str) -> list[dict[str, Any]]:
        """The next events, up to the one that completes these names."""
        found: list[dict[str, Any]] = []
        while not set(names) <= {one["event"] for one in found}:
            found.append(await self.next())
        return found

    async def end(self) -> None:
        """Returns when the stream ends as it should."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._chunk():
                pass

    async def _block(self) -> dict[str, str]:
        while "\n\n" not in self.rest:
            chunk = await self._chunk()
            assert chunk, "the stream is over"
            self.rest += chunk
        block, _, self.rest = self.rest.partition("\n\n")
        return dict(line.split(": ", 1) for line in block.split("\n"))

    async def _chunk(self) -> str:
        size = int(await self.reader.readline(), 16)
        chunk = await self.reader.readexactly(size)
        assert await self.reader.readexactly(2) == b"\r\n"
        return chunk.decode()


@asynccontextmanager
async def stream(port: int, *, path: str = "/v1/events", **headers: str) -> AsyncIterator[Stream]:
    """A stream of events, as a client opens it; the client goes away at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        yield Stream(int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}, reader)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
