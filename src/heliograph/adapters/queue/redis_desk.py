"""The gateway's end of a queue on Redis or Valkey."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from heliograph.adapters.queue import places
from heliograph.adapters.queue.places import event_id, event_place, sequence_of
from heliograph.adapters.queue.records import (
    counts_of,
    event_page,
    finished_of,
    group_of,
    job_of,
    milliseconds,
    text,
    worker_of,
)
from heliograph.adapters.queue.redis_server import BLOCK_SECONDS, RedisServer, Reply, block
from heliograph.core import errors
from heliograph.core.drain import DrainRate
from heliograph.core.events import EventKind, EventPage
from heliograph.core.jobs import (
    FinishedJob,
    Group,
    Job,
    JobPage,
    JobResult,
    JobState,
    NewGroup,
    Priority,
    QueueCounts,
)
from heliograph.core.ports import Clock
from heliograph.core.queue import QueueRules
from heliograph.core.workers import HEARTBEAT_FORGOTTEN_SECONDS, HEARTBEAT_LOST_SECONDS, WorkerInfo

REPLIES_AT_ONCE = 100


class RedisDesk:
    """Implements `heliograph.core.queue.JobDesk`."""

    def __init__(self, server: RedisServer, rules: QueueRules, clock: Clock = time.monotonic) -> None:
        self._server = server
        self._keys = server.keys
        self._rules = rules
        self._drain = DrainRate(clock)

    async def enqueue(self, group: NewGroup) -> Group:
        """The group, or that of the same idempotency key."""
        outcome, detail, *numbers = await self._server.run("enqueue", *self._enqueue_arguments(group))
        over, bound, open_jobs, settled = (int(number) for number in numbers)
        self._drain.observe(settled)
        match text(outcome):
            case "new":
                ids = tuple(job.id for job in group.jobs)
                return Group(id=group.id, owner=group.owner, job_ids=ids, counts={JobState.QUEUED: len(ids)})
            case "known":
                known = await self.group(text(detail))
                if known is None:
                    raise errors.IdempotencyConflict("The jobs of this idempotency key are over.")
                return replace(known, is_new=False)
            case "conflict":
                raise errors.IdempotencyConflict
        raise self._full(text(detail), over if text(detail) == "jobs" else open_jobs * over / bound)

    def _enqueue_arguments(self, group: NewGroup) -> list[object]:
        rules = self._rules
        share = 1.0 if group.priority is Priority.INTERACTIVE else rules.bulk_share
        key = ""
        if group.idempotency_key:  # as a hash, for it is a client's text, of any length
            key = hashlib.sha256(f"{group.owner}\0{group.idempotency_key}".encode()).hexdigest()
        arguments: list[object] = [
            group.id, group.owner, group.priority.value, group.reply_to, key, group.fingerprint,
            rules.max_jobs, rules.max_bytes, rules.max_server_share, share, milliseconds(rules.memory_seconds),
            rules.job_bytes,
        ]  # fmt: skip
        for job in group.jobs:
            arguments += (job.id, job.name, job.model, job.parameters, job.payload, job.kept_elsewhere)
        return arguments

    async def job(self, job_id: str) -> Job | None:
        """The job as it stands."""
        return job_of(job_id, await self._server.call("HGETALL", self._keys.of("job", job_id)))

    async def result(self, job_id: str) -> JobResult | None:
        """What a job that is done answered."""
        # Its size first: a large one may take its time.
        look = ("HMGET", self._keys.of("job", job_id), "media", "facts", "result_size")
        media, facts, size = await self._server.call(*look)
        if size is None:
            return None
        data = await self._server.call("GET", self._keys.of("result", job_id), answer_bytes=int(size))
        if data is None:
            return None
        elsewhere = int(size) - len(data)
        return JobResult(data=data, media_type=text(media), facts=text(facts), kept_elsewhere=elsewhere)

    async def cancel(self, job_id: str) -> Job | None:
        """Cancels a job that is not final."""
        return await self._change(job_id, "cancel")

    async def requeue(self, job_id: str) -> Job | None:
        """Gives a dead job new attempts."""
        return await self._change(job_id, "requeue")

    async def acknowledge(self, job_id: str) -> Job | None:
        """Removes the result of a final job."""
        return await self._change(job_id, "acknowledge")

    async def _change(self, job_id: str, action: str) -> Job | None:
        rules = self._rules
        keep, memory = milliseconds(rules.result_seconds), milliseconds(rules.memory_seconds)
        arguments = (job_id, action, keep, memory, rules.max_jobs, rules.bulk_share)
        look = ("HGETALL", self._keys.of("job", job_id))
        over, record = await self._server.run_and("change", arguments, look)
        if int(over):
            raise self._full("jobs", int(over))
        return job_of(job_id, record)

    def _full(self, what: str, jobs_over: float) -> errors.QueueFull:
        return errors.QueueFull(
            f"The queue has no room for more {what}.",
            retry_after_seconds=self._drain.seconds_until(jobs_over),
        )

    async def group(self, group_id: str) -> Group | None:
        """A request's jobs, counted by state."""
        record, members = await self._server.together(
            [
                ("HGETALL", self._keys.of("group", group_id)),
                ("LRANGE", self._keys.of("members", group_id), 0, -1),
            ]
        )
        return group_of(group_id, record, members)

    async def group_jobs(self, group_id: str, *, offset: int = 0, limit: int = 100) -> Sequence[Job]:
        """Jobs of a group in the order of its request."""
        if offset < 0 or limit <= 0:  # to the server, negative numbers count from the end
            return ()
        members = self._keys.of("members", group_id)
        found = await self._server.call("LRANGE", members, offset, offset + limit - 1)
        ids = [text(job_id) for job_id in found]
        return _known(ids, await self._server.together(self._looks(ids))) if ids else ()

    def _looks(self, job_ids: Sequence[str]) -> list[Sequence[object]]:
        return [("HGETALL", self._keys.of("job", job_id)) for job_id in job_ids]

    async def jobs(
        self, owner: str | None, *, state: JobState | None = None, cursor: str = "", limit: int = 100
    ) -> JobPage:
        """The jobs of one owner, or of everybody, newest first. A cursor is the sequence number of a page's last."""
        before = sequence_of(cursor)
        newest = "+inf" if before is None else f"({before}"
        if state is not None:
            return await self._in_state(state, owner, newest, limit)
        index = self._index(owner)
        found = await self._server.call("ZREVRANGEBYSCORE", index, newest, "-inf", "LIMIT", 0, limit)
        if not found:
            return JobPage(jobs=())
        ids = [text(job_id) for job_id in found]
        *records, last = await self._server.together([*self._looks(ids), ("ZSCORE", index, ids[-1])])
        more = str(int(float(last))) if len(ids) == limit and last is not None else ""
        return JobPage(jobs=_known(ids, records), next_cursor=more)

    def _index(self, owner: str | None) -> str:
        return self._keys.single("everybody") if owner is None else self._keys.of("index", owner)

    async def _in_state(self, state: JobState, owner: str | None, newest: str, limit: int) -> JobPage:
        """Of the states that are rare and looked for there are lists; others are looked for among all."""
        index = self._index(owner)
        if state.is_final and state is not JobState.DONE:
            index = self._keys.of("sought", state.value if owner is None else f"{state.value}:{owner}")
        rest, found = await self._server.run(
            "list", index, state.value, newest, limit, max(limit, places.LOOKED_AT)
        )
        ids = [text(job_id) for job_id in found[::2]]
        records = [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in found[1::2]]
        return JobPage(jobs=_known(ids, records), next_cursor=str(int(float(rest))) if rest else "")

    async def forget(self, job_ids: Sequence[str]) -> None:
        """Removes the results of many final jobs."""
        if job_ids:
            await self._server.run("forget", milliseconds(self._rules.memory_seconds), *job_ids)

    async def finished(self, gateway: str, *, wait_seconds: float) -> Sequence[FinishedJob]:
        """Jobs that this gateway waits for and that became final, the first first."""
        pop = (1, self._keys.of("replies", gateway), "RIGHT", "COUNT", REPLIES_AT_ONCE)
        if wait_seconds > 0:
            found: Reply = await self._server.wait("BLMPOP", min(wait_seconds, BLOCK_SECONDS), *pop)
        else:
            found = await self._server.call("LMPOP", *pop)
        return [finished_of(reply) for reply in found[1]] if found else ()

    async def workers(self) -> Sequence[WorkerInfo]:
        """The workers that were heard of, in one round trip."""
        heartbeats, beats, lost, (seconds, micros) = await self._server.together(
            [
                ("HGETALL", self._keys.single("workers")),
                ("ZRANGE", self._keys.single("beats"), 0, -1, "WITHSCORES"),
                ("ZRANGE", self._keys.single("lost"), 0, -1, "WITHSCORES"),
                ("TIME",),
            ]
        )
        now_ms = 1000 * seconds + micros // 1000
        seen = dict(zip([*beats[::2], *lost[::2]], [*beats[1::2], *lost[1::2]], strict=True))
        workers = (
            worker_of(text(name), heartbeats[name], int(seen[name]), now_ms)
            for name in sorted(seen.keys() & heartbeats.keys())
        )
        return [worker for worker in workers if worker is not None]

    async def events(self, after: str, *, limit: int = 1000, wait_seconds: float = 0.0) -> EventPage:
        """Up to ``limit`` events after one, or from now on."""
        place = event_place(after)
        known_id = "" if place is None else event_id(place)
        is_known, last, entries = await self._server.run("events", known_id, limit)
        if not is_known:
            return EventPage(events=(), last_id=text(last), is_complete=not after)
        if entries or wait_seconds <= 0:
            found = [(entry, dict(zip(flat[::2], flat[1::2], strict=True))) for entry, flat in entries]
            return event_page(known_id, found)
        stream = self._keys.single("events")
        command = ("XREAD", "COUNT", limit, "BLOCK", block(wait_seconds), "STREAMS", stream, known_id)
        answer: Reply = await self._server.wait(*command)
        return event_page(known_id, answer[0][1] if answer else ())

    async def tell(self, kind: EventKind, *, worker: str = "", detail: str = "") -> None:
        """Adds an event that is not of jobs."""
        await self._server.run("tell", kind.value, worker, detail)

    async def counts(self) -> QueueCounts:
        """The queue in numbers, in one round trip."""
        return counts_of(*await self._server.run("counts"))

    async def expire(self, *, limit: int = 100) -> int:
        """Removes results and memories whose time is over, and what is left of workers that went away."""
        rules = self._rules
        memory, idle = milliseconds(rules.memory_seconds), milliseconds(rules.idle_worker_seconds)
        silences = map(milliseconds, (HEARTBEAT_LOST_SECONDS, HEARTBEAT_FORGOTTEN_SECONDS))
        return int(await self._server.run("expire", limit, memory, rules.max_memories, idle, *silences))

    async def close(self) -> None:
        """Lets go of connections."""
        await self._server.close()


def _known(ids: Sequence[str], records: Sequence[Mapping[bytes, bytes]]) -> tuple[Job, ...]:
    """The jobs that hashes hold, without those that are forgotten."""
    jobs = (job_of(job_id, record) for job_id, record in zip(ids, records, strict=True))
    return tuple(job for job in jobs if job is not None)
