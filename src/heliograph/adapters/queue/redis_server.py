"""A Redis or Valkey server, version 7.0 or later: its connections, and its failures as our errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from heliograph.adapters.queue.keys import Keys
from heliograph.adapters.queue.parts import seconds_for
from heliograph.adapters.queue.redis_failures import BROKEN, FAILURES, Complaints, is_refusal, our_error
from heliograph.adapters.queue.redis_scripts import SCRIPTS, Script
from heliograph.core import errors

log = logging.getLogger("heliograph.queue")

Reply: TypeAlias = Any
"""What a server answers: bytes, numbers and lists of them."""

CONNECTIONS = 8
WAITING_CONNECTIONS = 4
ANSWER_SECONDS = 5.0
BLOCK_SECONDS = 5.0
"""The longest single wait at the server. Short, so that one that is gone is found out."""
RETRY_SECONDS = 0.05
OLDEST_VERSION = (7, 0)
DANGEROUS_POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
"""Others evict only keys that have an end; of ours, those can be missed."""

WRONG_ADDRESS = (
    "The queue's address is wrong: it is redis://, rediss:// or unix://, such as redis://localhost:6379/0, and signs "
    "like / and @ in user and password are written %2F and %40."
)


class RedisServer:
    """One queue on one server. It connects when it is first used, and again after a failure."""

    def __init__(self, url: str, queue: str, password: str | None = None) -> None:
        """The place of a queue.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``, with user, password and database.
            queue: its name.
            password: where the address has none; as it is, without the address's escapes.

        Raises:
            SettingsInvalid: the address is not one.
        """
        self.keys = Keys(queue)
        try:
            self._commands = _client(url, CONNECTIONS, password)
            self._waits = _client(url, WAITING_CONNECTIONS, password)
        except (ValueError, TypeError):  # it may cite the password
            raise errors.SettingsInvalid(WRONG_ADDRESS) from None
        self._scripts = {name: Script(name) for name in SCRIPTS}
        self._complaints = Complaints()
        self.is_durable: bool | None = None
        """Whether the server writes each change to a disk; None before `check` found out, and if it does not tell."""

    async def call(self, *command: object, answer_bytes: int = 0) -> Reply:
        """What the server answers to a command; so many bytes, where that is known and much."""
        async with self._answer(seconds_for(command, answer_bytes)):
            return await self._commands.execute_command(*command)

    async def wait(self, *command: object) -> Reply:
        """What it answers to a command that may block so long as `BLOCK_SECONDS`; nothing else waits behind it."""
        async with self._answer(BLOCK_SECONDS):
            return await self._waits.execute_command(*command)

    async def together(self, commands: Sequence[Sequence[object]]) -> Sequence[Reply]:
        """What it answers to commands that only read, in one instant with nothing in between.

        A full Redis refuses that, whatever they do; there they come one after the other.
        """
        async with self._answer():
            try:
                return await self._pipe(commands, in_one_instant=True)
            except exceptions.OutOfMemoryError:
                return await self._pipe(commands)

    async def run(self, script: str, *arguments: object, answer_bytes: int = 0) -> Reply:
        """What a script answers. A server that has restarted gets it anew."""
        by_hash, by_text = self._ways(script, arguments)
        async with self._answer(seconds_for(arguments, answer_bytes)):
            try:
                return await self._commands.execute_command(*by_hash)
            except exceptions.NoScriptError:
                return await self._commands.execute_command(*by_text)

    async def run_and(
        self, script: str, arguments: Sequence[object], command: Sequence[object]
    ) -> tuple[Reply, Reply]:
        """What a script answers, and after it a command, in one round trip."""
        by_hash, by_text = self._ways(script, arguments)
        async with self._answer():
            try:
                first, second = await self._pipe([by_hash, command])
            except exceptions.NoScriptError:
                first, second = await self._pipe([by_text, command])
        return first, second

    def _ways(self, script: str, arguments: Sequence[object]) -> tuple[Sequence[object], Sequence[object]]:
        known, rest = self._scripts[script], (1, self.keys.prefix, *arguments)
        return ("EVALSHA", known.hash, *rest), ("EVAL", known.text, *rest)

    async def _pipe(
        self, commands: Sequence[Sequence[object]], *, in_one_instant: bool = False
    ) -> Sequence[Reply]:
        async with self._commands.pipeline(transaction=in_one_instant) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()

    async def check(self) -> None:
        """Finds out whether the server can hold a queue. The log is told if it would forget it, and nothing else.

        Raises:
            SettingsInvalid: it refuses our password, is too old, or throws away what it has no memory for.
            QueueUnavailable: it does not answer.
        """
        try:
            async with self._answer(is_told=False):
                facts = await self._commands.execute_command("INFO")
        except errors.QueueUnavailable as error:
            if is_refusal(error.__cause__):
                raise errors.SettingsInvalid(f"{error.message[:-1]}: {error.reason}") from error
            raise
        version = str(facts["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
            raise errors.SettingsInvalid(
                f"The queue's server has version {version}; 7.0 is the oldest that works."
            )
        if facts.get("maxmemory_policy") in DANGEROUS_POLICIES:
            raise errors.SettingsInvalid(
                f"The queue's server may throw jobs away: its maxmemory-policy is {facts['maxmemory_policy']}, "
                "and must be noeviction."
            )
        self.is_durable = bool(facts["aof_enabled"]) if "aof_enabled" in facts else None
        if self.is_durable is False:
            log.warning("queue is lost when its server ends", extra={"reason": "its appendonly is no"})

    async def close(self) -> None:
        """Lets go of connections."""
        await self._commands.aclose()
        await self._waits.aclose()

    @asynccontextmanager
    async def _answer(self, patience_seconds: float = 0.0, *, is_told: bool = True) -> AsyncIterator[None]:
        """Turns what the server refuses, or does not answer in time, into our errors, and tells the log why."""
        try:
            async with asyncio.timeout(patience_seconds + ANSWER_SECONDS):
                yield
        except FAILURES as error:
            ours = our_error(error)
            if is_told:
                self._complaints.tell(ours)
            raise ours from error


def block(seconds: float) -> int:
    """How many milliseconds a command may block; 0 would be for ever."""
    return max(1, int(1000 * min(seconds, BLOCK_SECONDS)))


def _client(url: str, connections: int, password: str | None) -> Redis:
    """A client with a bounded pool; one command more waits for a connection.

    A command whose connection broke is sent once more: everything we send may come twice. The client's own timeout
    is off, for with it a cancelled command goes on (it sends inside `asyncio.wait_for`, which in Python 3.11 loses a
    cancellation that comes just then).
    """
    pool = BlockingConnectionPool.from_url(
        url,
        password=password or None,  # one in the address wins
        protocol=2,
        max_connections=connections,
        timeout=None,
        socket_timeout=None,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(ConstantBackoff(RETRY_SECONDS), 1, BROKEN),
    )
    pool.make_connection()  # not opened; this refuses options that nobody knows
    return Redis.from_pool(pool)
