"""The gateway's end of a queue on Redis or Valkey."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace

from heliograph.adapters.queue.records import counts_of, group_of, job_of, milliseconds, text
from heliograph.adapters.queue.redis_server import BLOCK_SECONDS, RedisServer, Reply
from heliograph.core import errors
from heliograph.core.drain import DrainRate
from heliograph.core.jobs import Group, Job, JobPage, JobResult, JobState, NewGroup, Priority, QueueCounts
from heliograph.core.ports import Clock
from heliograph.core.queue import QueueRules

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
        jobs_over = over if text(detail) == "jobs" else open_jobs * over / bound
        raise errors.QueueFull(
            f"The queue has no room for more {text(detail)}.",
            retry_after_seconds=self._drain.seconds_until(jobs_over),
        )

    def _enqueue_arguments(self, group: NewGroup) -> list[object]:
        rules = self._rules
        share = 1.0 if group.priority is Priority.INTERACTIVE else rules.bulk_share
        key = ""
        if group.idempotency_key:  # as a hash, for it is a client's text, of any length
            key = hashlib.sha256(f"{group.owner}\0{group.idempotency_key}".encode()).hexdigest()
        arguments: list[object] = [
            group.id, group.owner, group.priority.value, group.reply_to, key, group.fingerprint,
            rules.max_jobs, rules.max_bytes, rules.max_server_share, share, milliseconds(rules.memory_seconds),
        ]  # fmt: skip
        for job in group.jobs:
            arguments += (job.id, job.name, job.model, job.parameters, job.payload)
        return arguments

    async def job(self, job_id: str) -> Job | None:
        """The job as it stands."""
        return job_of(job_id, await self._server.call("HGETALL", self._keys.of("job", job_id)))

    async def result(self, job_id: str) -> JobResult | None:
        """What a job that is done answered."""
        (media, facts), data = await self._server.together(
            [
                ("HMGET", self._keys.of("job", job_id), "media", "facts"),
                ("GET", self._keys.of("result", job_id)),
            ]
        )
        return None if data is None else JobResult(data=data, media_type=text(media), facts=text(facts))

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
        keep, memory = self._rules.result_seconds, self._rules.memory_seconds
        arguments = (job_id, action, milliseconds(keep), milliseconds(memory))
        _, record = await self._server.run_and("change", arguments, ("HGETALL", self._keys.of("job", job_id)))
        return job_of(job_id, record)

    async def group(self, group_id: str) -> Group | None:
        """A request's jobs, counted by state."""
        record, members = await self._server.together(
            [
                ("HGETALL", self._keys.of("group", group_id)),
                ("LRANGE", self._keys.of("members", group_id), 0, -1),
            ]
        )
        return group_of(group_id, record, members)

    async def jobs(self, owner: str | None, *, cursor: str = "", limit: int = 100) -> JobPage:
        """The jobs of one owner, or of everybody, newest first. A cursor is the sequence number of a page's last."""
        index = self._keys.single("everybody") if owner is None else self._keys.of("index", owner)
        newest = f"({cursor}" if cursor else "+inf"
        found = await self._server.call("ZREVRANGEBYSCORE", index, newest, "-inf", "LIMIT", 0, limit)
        if not found:
            return JobPage(jobs=())
        ids = [text(job_id) for job_id in found]
        *records, last = await self._server.together(
            [*(("HGETALL", self._keys.of("job", job_id)) for job_id in ids), ("ZSCORE", index, ids[-1])]
        )
        jobs = (job_of(job_id, record) for job_id, record in zip(ids, records, strict=True))
        more = str(int(float(last))) if len(ids) == limit and last is not None else ""
        return JobPage(jobs=tuple(job for job in jobs if job is not None), next_cursor=more)

    async def finished(self, gateway: str, *, wait_seconds: float) -> Sequence[str]:
        """Ids of jobs that this gateway waits for and that became final, the first first."""
        replies = self._keys.of("replies", gateway)
        found: Reply = await self._server.call("RPOP", replies, REPLIES_AT_ONCE)
        if not found and wait_seconds > 0:
            first = await self._server.wait("BRPOP", replies, min(wait_seconds, BLOCK_SECONDS))
            found = first[1:] if first else ()
        return [text(job_id) for job_id in found or ()]

    async def counts(self) -> QueueCounts:
        """The queue in numbers, in one round trip."""
        return counts_of(*await self._server.run("counts"))

    async def expire(self, *, limit: int = 100) -> int:
        """Removes results and memories whose time is over, and the names of workers that went away."""
        rules = self._rules
        memory, idle = milliseconds(rules.memory_seconds), milliseconds(rules.idle_worker_seconds)
        return int(await self._server.run("expire", limit, memory, rules.max_memories, idle))

    async def close(self) -> None:
        """Lets go of connections."""
        await self._server.close()
