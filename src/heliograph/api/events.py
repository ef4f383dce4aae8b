"""The stream of events: server-sent events, resumable by their id."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from heliograph.api import parameters
from heliograph.api.access import caller_of
from heliograph.api.errors import problem_of
from heliograph.api.middleware import EVENT_STREAM
from heliograph.api.services import Lifecycle, Services
from heliograph.api.timestamps import timestamp
from heliograph.core.events import JOB_KINDS, Event
from heliograph.core.jobs import JobState, QueueCounts
from heliograph.core.workers import WorkerInfo
from heliograph.serving.subscriptions import JobCounts, Numbers, Outage, Reset, Snapshot, Subscription, Told

RETRY_MILLISECONDS = 2000
"""After how long a client that lost its stream comes back."""
PING_SECONDS = 15.0
PING = b": nothing new\n\n"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


async def stream_events(request: Request, services: Services) -> Response:
    """``GET /v1/events``: what happens to jobs, and for who sees all to workers and the fleet."""
    feed = services.need_events()
    if request.method == "HEAD":
        return Response(media_type=EVENT_STREAM, headers=HEADERS)
    last = request.headers.get(parameters.LAST_EVENT_ID.name)
    if last is None:
        last = request.query_params.get(parameters.LAST_EVENT_ID_QUERY.name, "")
    caller = caller_of(request)
    return EventStream(feed.subscribe(caller, last), services.lifecycle, until=caller.until)


class EventStream(Response):
    """An answer that goes on until its client leaves or the process stops; gives its subscription up then.

    ``until`` is when the session ends that it was opened with, in seconds since the epoch; None for never.
    """

    def __init__(self, subscription: Subscription, lifecycle: Lifecycle, *, until: int | None) -> None:
        super().__init__(media_type=EVENT_STREAM, headers=HEADERS)
        del self.headers["Content-Length"]
        self._subscription = subscription
        self._lifecycle = lifecycle
        self._until = until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Writes what the subscription tells."""
        loop = asyncio.get_running_loop()
        with self._subscription as subscription:
            watchers = [
                loop.create_task(self._end_when_client_leaves(receive)),
                loop.create_task(self._end_when_process_stops()),
                loop.create_task(self._end_when_session_does()),
            ]
            try:
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                await _send_body(send, b"retry: %d\n\n" % RETRY_MILLISECONDS)
                while (told := await subscription.next(PING_SECONDS)) is not None:
                    await _send_body(send, _written(told) if told else PING)
                await _send_body(send, b"", more=False)
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)

    async def _end_when_client_leaves(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscription.end()

    async def _end_when_process_stops(self) -> None:
        await self._lifecycle.wait_for_drain()
        self._subscription.end()

    async def _end_when_session_does(self) -> None:
        if self._until is not None:
            await asyncio.sleep(max(0.0, self._until - time.time()))
            self._subscription.end()


async def _send_body(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _written(told: Sequence[Told]) -> bytes:
    lines: list[str] = []
    for one in told:
        name, event_id, data = _parts(one)
        if event_id:
            lines.append(f"id: {event_id}")
        lines += [f"event: {name}", f"data: {json.dumps(data)}", ""]
    return "".join(f"{line}\n" for line in lines).encode()


def _parts(told: Told) -> tuple[str, str, dict[str, Any]]:
    """An event's name, its id and its data."""
    match told:
        case Event():
            return told.kind.value, told.id, _event(told)
        case JobCounts():
            counts = {kind.value: count for kind, count in told.counts.items()}
            return "counts", told.id, {"counts": counts, "seconds": told.seconds}
        case Snapshot():
            workers = [_worker(worker) for worker in told.workers]
            queue = None if told.counts is None else _queue(told.counts)
            return "snapshot", told.id, {"queue": queue, "workers": workers}
        case Numbers():
            return "numbers", "", _numbers(told)
        case Reset():
            return "reset", "", {}
        case Outage():
            return "queue-unavailable", "", problem_of(told.problem)


def _event(event: Event) -> dict[str, Any]:
    about = {"at": timestamp(event.at), "worker": event.worker or None}
    if event.kind in JOB_KINDS:
        return {**about, "group": event.group, "jobs": event.job_ids}
    return {**about, "detail": event.detail}


def _queue(counts: QueueCounts) -> dict[str, Any]:
    return {
        "accepted": counts.accepted,
        "finished": {state.value: count for state, count in counts.finished.items()},
        "redelivered": counts.redelivered,
        "expired": counts.expired,
        "stored_bytes": counts.stored_bytes,
        "backlog": {
            priority.value: {
                "waiting": backlog.waiting,
                "running": backlog.running,
                "oldest_waiting_seconds": round(backlog.oldest_waiting_seconds, 3),
            }
            for priority, backlog in counts.backlog.items()
        },
    }


def _numbers(numbers: Numbers) -> dict[str, Any]:
    counts, backlog = numbers.counts, numbers.counts.backlog.values()
    p95 = counts.p95_seconds
    return {
        "at": timestamp(numbers.at),
        "waiting": sum(one.waiting for one in backlog),
        "running": sum(one.running for one in backlog),
        "accepted": counts.accepted,
        "finished": sum(counts.finished.values()),
        "dead": counts.finished[JobState.DEAD],
        "workers": {state.value: number for state, number in numbers.workers.items()},
        "p95_seconds": None if p95 is None else round(p95, 4),
    }


def _worker(worker: WorkerInfo) -> dict[str, Any]:
    """A worker as its readers may see it: where it runs is for the routes of the fleet."""
    return {
        "name": worker.name,
        "state": worker.state.value,
        "models": dict(worker.models),
        "holding": worker.holding,
        "finished": worker.finished,
    }
