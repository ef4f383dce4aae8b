"""A worker's end of a queue on Redis or Valkey."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence

from heliograph.adapters.queue.keys import CONSUMER_GROUP
from heliograph.adapters.queue.records import heartbeat, milliseconds, text
from heliograph.adapters.queue.redis_server import RedisServer, Reply, block
from heliograph.core.jobs import (
    Assignment,
    Delivery,
    JobEvent,
    JobProblem,
    JobResult,
    Outcome,
    Priority,
    Verdict,
)
from heliograph.core.queue import QueueRules
from heliograph.core.workers import WorkerInfo

PAYLOAD_LOST = JobProblem(code="payload-lost", message="The server has lost the picture of this job.")
BEGINNING = "0-0"
QUIET_SECONDS = 0.005


class RedisSource:
    """Implements `heliograph.core.queue.JobSource`."""

    def __init__(self, server: RedisServer, rules: QueueRules) -> None:
        self._server = server
        self._rules = rules
        self._is_quiet = False
        """Whether the last wait for a job took its time."""
        self._stops = dict.fromkeys(Priority, BEGINNING)
        """Where the last look for leases that ran out stopped."""

    async def read(
        self, worker: str, *, count: int, prefer: Priority = Priority.INTERACTIVE, wait_seconds: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to ``count`` new jobs, of the preferred priority first.

        Looks first, and waits for one if there are none. After a long wait it waits again at once: where jobs come
        one by one, a look finds nothing, and costs as much as the rest.
        """
        second = Priority.BULK if prefer is Priority.INTERACTIVE else Priority.INTERACTIVE
        is_quiet, self._is_quiet = self._is_quiet and wait_seconds > 0, False
        if not is_quiet:
            flat = await self._server.run("read", worker, count, prefer.value, second.value)
            parts = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
            found = [_delivery(*part) for part in parts]
            if found or wait_seconds <= 0:
                return found
        begun = time.monotonic()
        found = await self._wait(worker, (prefer, second), wait_seconds)
        self._is_quiet = time.monotonic() - begun > QUIET_SECONDS
        if len(found) > count:  # one from each stream, where both got a job since we looked
            await self.hand_back(worker, found[count:])
        return found[:count]

    async def _wait(self, worker: str, priorities: Sequence[Priority], seconds: float) -> list[Delivery]:
        streams = {self._server.keys.stream(priority): priority for priority in priorities}
        answer: Reply = await self._server.wait(
            "XREADGROUP", "GROUP", CONSUMER_GROUP, worker, "COUNT", 1, "BLOCK", block(seconds),
            "STREAMS", *streams, *(">" for _ in streams),
        )  # fmt: skip
        return [
            Delivery(job_id=text(fields[b"job"]), entry=text(entry), priority=streams[text(stream)])
            for stream, entries in answer or ()
            for entry, fields in entries
        ]

    async def reclaim(self, worker: str, *, count: int) -> Sequence[Delivery]:
        """Up to ``count`` jobs that were given back or whose lease is over."""
        lease = milliseconds(self._rules.lease_seconds)
        stops = [part for priority in Priority for part in (priority.value, self._stops[priority])]
        stopped, found = await self._server.run("reclaim", worker, count, lease, *stops)
        self._stops = dict(zip(Priority, map(text, stopped), strict=True))
        parts = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [_delivery(*part) for part in parts]

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        """Begins with jobs, as far as they are this worker's to begin."""
        if not deliveries:
            return ()
        rules = self._rules
        arguments: list[object] = [worker, rules.max_attempts, milliseconds(rules.result_seconds)]
        tokens = [secrets.token_hex(8) for _ in deliveries]
        for delivery, token in zip(deliveries, tokens, strict=True):
            arguments += (delivery.job_id, delivery.entry, delivery.priority.value, token)
        # Payloads come as the server has them, not through the script, which would hold them all once more.
        payloads = ("MGET", *(self._server.keys.of("payload", delivery.job_id) for delivery in deliveries))
        answers, pictures = await self._server.run_and("start", arguments, payloads)
        begun: list[Assignment] = []
        lost: list[Assignment] = []
        for delivery, token, answer, picture in zip(deliveries, tokens, answers, pictures, strict=True):
            if answer is not None:
                assignment = _assignment(delivery, token, answer, picture or b"")
                (lost if picture is None else begun).append(assignment)
        if lost:
            await self._give_up(worker, JobEvent.RETRY, lost, PAYLOAD_LOST, max_attempts=0)
        return begun

    async def renew(self, worker: str, held: Sequence[Delivery | Assignment]) -> Sequence[Verdict]:
        """Renews the lease of each; what the queue says to each."""
        if not held:
            return ()
        verdicts = await self._server.run("renew", worker, *_claims(held))
        return [Verdict(text(verdict)) for verdict in verdicts]

    async def finish(self, worker: str, outcomes: Sequence[Outcome]) -> Sequence[bool]:
        """Stores results and reasons; False where the assignment was lost."""
        if not outcomes:
            return ()
        arguments: list[object] = [worker, milliseconds(self._rules.result_seconds)]
        for outcome in outcomes:
            arguments += (outcome.assignment.delivery.job_id, outcome.assignment.token)
            match outcome.answer:
                case JobResult(data=data, media_type=media_type, facts=facts, kept_elsewhere=elsewhere):
                    arguments += (JobEvent.FINISH.value, data, media_type, facts, elsewhere)
                case JobProblem(code=code, message=message):
                    arguments += (JobEvent.FAIL.value, code, message, "", 0)
        return [bool(stored) for stored in await self._server.run("finish", *arguments)]

    async def retry(self, worker: str, assignment: Assignment, problem: JobProblem) -> bool:
        """Lets another attempt follow, if one is left; False if the assignment was lost."""
        return await self._give_up(worker, JobEvent.RETRY, [assignment], problem) == 1

    async def hand_back(self, worker: str, held: Sequence[Delivery | Assignment]) -> None:
        """Gives up what this worker holds; the attempts do not count."""
        if held:
            await self._give_up(worker, JobEvent.HAND_BACK, held, JobProblem(code="", message=""))

    async def _give_up(
        self,
        worker: str,
        event: JobEvent,
        held: Sequence[Delivery | Assignment],
        problem: JobProblem,
        *,
        max_attempts: int | None = None,
    ) -> int:
        attempts = self._rules.max_attempts if max_attempts is None else max_attempts
        keep = milliseconds(self._rules.result_seconds)
        head = (worker, event.value, attempts, keep, problem.code, problem.message)
        return sum(await self._server.run("give_up", *head, *_claims(held)))

    async def beat(self, info: WorkerInfo) -> None:
        """Says that a worker is there, and how it is."""
        await self._server.run("beat", info.name, info.state.value, heartbeat(info))

    async def release(self, worker: str) -> int:
        """Gives up what a worker held that is gone, its name and its heartbeat."""
        return int(await self._server.run("release", worker))

    async def close(self) -> None:
        """Lets go of connections."""
        await self._server.close()


def _delivery(job_id: bytes, entry: bytes, priority: bytes, attempts: bytes | int = 0) -> Delivery:
    return Delivery(
        job_id=text(job_id), entry=text(entry), priority=Priority(text(priority)), attempts=int(attempts)
    )


def _assignment(delivery: Delivery, token: str, answer: Sequence[Reply], payload: bytes) -> Assignment:
    attempt, name, model, parameters = answer
    return Assignment(
        delivery=delivery,
        token=token,
        attempt=int(attempt),
        name=text(name),
        model=text(model),
        parameters=text(parameters),
        payload=payload,
    )


def _claims(held: Iterable[Delivery | Assignment]) -> list[str]:
    """The arguments by which a script knows what a worker holds."""
    claims: list[str] = []
    for one in held:
        delivery, token = (one.delivery, one.token) if isinstance(one, Assignment) else (one, "")
        claims += (delivery.job_id, delivery.entry, delivery.priority.value, token)
    return claims
