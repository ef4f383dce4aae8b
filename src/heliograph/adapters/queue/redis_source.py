"""A worker's end of a queue on Redis or Valkey."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence

from heliograph.adapters.queue.keys import CONSUMER_GROUP
from heliograph.adapters.queue.parts import PART_BYTES, parts
from heliograph.adapters.queue.records import heartbeat, milliseconds, text
from heliograph.adapters.queue.redis_server import RedisServer, Reply, block
from heliograph.adapters.queue.tokens import StartTokens
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
LOOK_SECONDS = 1.0
"""How often it looks at least, while jobs come one by one: only a look finds out that bulk has to wait."""
ALONG_BYTES = 65_536
"""Up to this size a payload comes with the answer to a start, larger ones after it."""


class RedisSource:
    """Implements `heliograph.core.queue.JobSource`."""

    def __init__(self, server: RedisServer, rules: QueueRules) -> None:
        self._server = server
        self._rules = rules
        self._tokens = StartTokens()
        self._is_quiet = False
        """Whether the last wait for a job took its time."""
        self._looked_at = 0.0
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
        priorities, now = (prefer, second), time.monotonic()
        is_quiet = self._is_quiet and wait_seconds > 0 and now - self._looked_at < LOOK_SECONDS
        self._is_quiet = False
        if not is_quiet:
            self._looked_at = now
            bulk_waits, found = await self._look(worker, count, priorities)
            if found or wait_seconds <= 0:
                return found
            if bulk_waits:
                return await self._wait(worker, (Priority.INTERACTIVE,), wait_seconds)
        begun = time.monotonic()
        found = await self._wait(worker, priorities, wait_seconds)
        self._is_quiet = time.monotonic() - begun > QUIET_SECONDS
        if len(found) > count:  # one from each stream, where both got a job since we looked
            await self.hand_back(worker, found[count:])
        return found[:count]

    @property
    def _bulk_bounds(self) -> tuple[int, float]:
        """The stored bytes and the share of the server above which bulk has to wait."""
        rules = self._rules
        return int(rules.max_bytes * rules.results_overrun), rules.results_server_share

    async def _look(
        self, worker: str, count: int, priorities: Sequence[Priority]
    ) -> tuple[bool, list[Delivery]]:
        """Whether bulk has to wait, and what there is."""
        names = [priority.value for priority in priorities]
        bulk_waits, flat = await self._server.run("read", worker, count, *self._bulk_bounds, *names)
        fields = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return bool(bulk_waits), [_delivery(*one) for one in fields]

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

    async def reclaim(self, worker: str, *, count: int, models: Collection[str] = ()) -> Sequence[Delivery]:
        """Up to ``count`` jobs that were given back or whose lease is over."""
        lease = milliseconds(self._rules.lease_seconds)
        stops = [part for priority in Priority for part in (priority.value, self._stops[priority])]
        stopped, found = await self._server.run(
            "reclaim", worker, count, lease, *self._bulk_bounds, len(models), *models, *stops
        )
        self._stops = dict(zip(Priority, map(text, stopped), strict=True))
        fields = zip(found[::4], found[1::4], found[2::4], found[3::4], strict=True)
        return [_delivery(*one) for one in fields]

    async def start(self, worker: str, deliveries: Sequence[Delivery]) -> Sequence[Assignment]:
        """Begins with jobs, as far as they are this worker's to begin."""
        if not deliveries:
            return ()
        with self._tokens.of(worker, deliveries) as tokens:
            answers = await self._begin(worker, deliveries, tokens)
            rows = [row for row in zip(deliveries, tokens, answers, strict=True) if row[2] is not None]
            payloads = await self._payloads([(one.job_id, answer[-1]) for one, _, answer in rows])
            begun = [_assignment(*row, payload or b"") for row, payload in zip(rows, payloads, strict=True)]
            lost = [one for one, payload in zip(begun, payloads, strict=True) if payload is None]
            if lost:
                await self._give_up(worker, JobEvent.RETRY, lost, PAYLOAD_LOST, max_attempts=0)
        return [one for one, payload in zip(begun, payloads, strict=True) if payload is not None]

    async def _begin(
        self, worker: str, deliveries: Sequence[Delivery], tokens: Sequence[str]
    ) -> Sequence[Reply]:
        rules = self._rules
        along = min(PART_BYTES, ALONG_BYTES * len(deliveries))
        arguments: list[object] = [worker, rules.max_attempts, milliseconds(rules.result_seconds)]
        arguments += (ALONG_BYTES, along)
        for delivery, token in zip(deliveries, tokens, strict=True):
            arguments += (delivery.job_id, delivery.entry, delivery.priority.value, token)
        answers: Sequence[Reply] = await self._server.run("start", *arguments, answer_bytes=along)
        return answers

    async def _payloads(self, answers: Sequence[tuple[str, bytes | int | None]]) -> Sequence[bytes | None]:
        """The payloads of jobs: those that came along, and those of which only the size did; None if one is lost.

        Large ones come as the server has them, not through the script, which would hold them all once more.
        """
        payloads = [None if isinstance(payload, int) else payload for _, payload in answers]
        large = [
            (place, job_id, size) for place, (job_id, size) in enumerate(answers) if isinstance(size, int)
        ]
        for part in parts([size for *_, size in large]):
            keys = [self._server.keys.of("payload", job_id) for _, job_id, _ in large[part]]
            size = sum(size for *_, size in large[part])
            found = await self._server.call("MGET", *keys, answer_bytes=size)
            for (place, *_), payload in zip(large[part], found, strict=True):
                payloads[place] = payload
        return payloads

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
        stored: list[bool] = []
        for part in parts([_answer_bytes(outcome) for outcome in outcomes]):
            arguments: list[object] = [worker, milliseconds(self._rules.result_seconds)]
            for outcome in outcomes[part]:
                arguments += _answered(outcome)
            stored += map(bool, await self._server.run("finish", *arguments))
        return stored

    async def retry(self, worker: str, assignment: Assignment, problem: JobProblem) -> bool:
        """Lets another attempt follow, if one is left; False if the assignment was lost."""
        return await self._give_up(worker, JobEvent.RETRY, [assignment], problem) == 1

    async def hand_back(
        self, worker: str, held: Sequence[Delivery | Assignment], *, lacks_model: bool = False
    ) -> None:
        """Gives up what this worker holds; the attempts do not count."""
        if held:
            problem = JobProblem(code="", message="")
            await self._give_up(worker, JobEvent.HAND_BACK, held, problem, lacks_model=lacks_model)

    async def _give_up(
        self,
        worker: str,
        event: JobEvent,
        held: Sequence[Delivery | Assignment],
        problem: JobProblem,
        *,
        max_attempts: int | None = None,
        lacks_model: bool = False,
    ) -> int:
        attempts = self._rules.max_attempts if max_attempts is None else max_attempts
        keep = milliseconds(self._rules.result_seconds)
        head = (worker, event.value, attempts, keep, problem.code, problem.message, int(lacks_model))
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
    attempt, name, model, parameters, *_ = answer
    return Assignment(
        delivery=delivery,
        token=token,
        attempt=int(attempt),
        name=text(name),
        model=text(model),
        parameters=text(parameters),
        payload=payload,
    )


def _answer_bytes(outcome: Outcome) -> int:
    return len(outcome.answer.data) if isinstance(outcome.answer, JobResult) else 0


def _answered(outcome: Outcome) -> Sequence[object]:
    """The arguments by which a script knows what came of a job."""
    head = (outcome.assignment.delivery.job_id, outcome.assignment.token)
    match outcome.answer:
        case JobResult(data=data, media_type=media_type, facts=facts, kept_elsewhere=elsewhere):
            return (*head, JobEvent.FINISH.value, data, media_type, facts, elsewhere)
        case JobProblem(code=code, message=message):
            return (*head, JobEvent.FAIL.value, code, message, "", 0)


def _claims(held: Iterable[Delivery | Assignment]) -> list[str]:
    """The arguments by which a script knows what a worker holds."""
    claims: list[str] = []
    for one in held:
        delivery, token = (one.delivery, one.token) if isinstance(one, Assignment) else (one, "")
        claims += (delivery.job_id, delivery.entry, delivery.priority.value, token)
    return claims
