"""A Redis or Valkey server, version 7.0 or later: its connections, and its failures as our errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from heliograph.adapters.queue.keys import Keys
from heliograph.adapters.queue.redis_scripts import SCRIPTS, Script
from heliograph.core import errors

Reply: TypeAlias = Any
"""What a server answers: bytes, numbers and lists of them."""

CONNECTIONS = 8
WAITING_CONNECTIONS = 4
ANSWER_SECONDS = 5.0
BLOCK_SECONDS = 5.0
"""The longest single wait at the server. Short, so that one that is gone is found out."""
RETRY_SECONDS = 0.05
BROKEN: Any = (exceptions.ConnectionError, RuntimeError)
"""What a broken connection raises: the second comes from uvloop, for what is written after it has noticed. The
client's types know only its own."""
OLDEST_VERSION = (7, 0)
DANGEROUS_POLICIES = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
"""Others evict only keys that have an end; of ours, those can be missed."""


class RedisServer:
    """One queue on one server. It connects when it is first used, and again after a failure."""

    def __init__(self, url: str, queue: str) -> None:
        """The place of a queue.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``, with user, password and database.
            queue: its name.

        Raises:
            SettingsInvalid: the address is not one.
        """
        self.keys = Keys(queue)
        try:
            self._commands = _client(url, CONNECTIONS)
            self._waits = _client(url, WAITING_CONNECTIONS)
        except ValueError as error:
            raise errors.SettingsInvalid(f"The queue's address is wrong: {errors.excerpt(error)}") from error
        self._scripts = {name: Script(name) for name in SCRIPTS}

    async def call(self, *command: object) -> Reply:
        """What the server answers to a command."""
        async with _translated():
            return await self._commands.execute_command(*command)

    async def wait(self, *command: object) -> Reply:
        """What it answers to a command that may block so long as `BLOCK_SECONDS`; nothing else waits behind it."""
        async with _translated(BLOCK_SECONDS):
            return await self._waits.execute_command(*command)

    async def together(self, commands: Sequence[Sequence[object]]) -> Sequence[Reply]:
        """What it answers to commands that only read, in one instant with nothing in between.

        A full Redis refuses that, whatever they do; there they come one after the other.
        """
        async with _translated():
            try:
                return await self._pipe(commands, in_one_instant=True)
            except exceptions.OutOfMemoryError:
                return await self._pipe(commands)

    async def run(self, script: str, *arguments: object) -> Reply:
        """What a script answers. A server that has restarted gets it anew."""
        by_hash, by_text = self._ways(script, arguments)
        async with _translated():
            try:
                return await self._commands.execute_command(*by_hash)
            except exceptions.NoScriptError:
                return await self._commands.execute_command(*by_text)

    async def run_and(
        self, script: str, arguments: Sequence[object], command: Sequence[object]
    ) -> tuple[Reply, Reply]:
        """What a script answers, and after it a command, in one round trip."""
        by_hash, by_text = self._ways(script, arguments)
        async with _translated():
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
        """Finds out whether the server can hold a queue.

        Raises:
            SettingsInvalid: it refuses our password, is too old, or throws away what it has no memory for.
            QueueUnavailable: it does not answer.
        """
        try:
            facts = await self.call("INFO")
        except errors.QueueUnavailable as error:
            if _is_refusal(error.__cause__):
                raise errors.SettingsInvalid(error.message) from error
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

    async def close(self) -> None:
        """Lets go of connections."""
        await self._commands.aclose()
        await self._waits.aclose()


def block(seconds: float) -> int:
    """How many milliseconds a command may block; 0 would be for ever."""
    return max(1, int(1000 * min(seconds, BLOCK_SECONDS)))


def _client(url: str, connections: int) -> Redis:
    """A client with a bounded pool; one command more waits for a connection.

    A command whose connection broke is sent once more: everything we send may come twice. The client's own timeout
    is off, for with it a cancelled command goes on (it sends inside `asyncio.wait_for`, which in Python 3.11 loses a
    cancellation that comes just then).
    """
    pool = BlockingConnectionPool.from_url(
        url,
        protocol=2,
        max_connections=connections,
        timeout=None,
        socket_timeout=None,
        socket_connect_timeout=ANSWER_SECONDS,
        retry=Retry(ConstantBackoff(RETRY_SECONDS), 1, BROKEN),
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def _translated(patience_seconds: float = 0.0) -> AsyncIterator[None]:
    """Turns what the server refuses, or does not answer in time, into our errors."""
    try:
        async with asyncio.timeout(patience_seconds + ANSWER_SECONDS):
            yield
    except exceptions.OutOfMemoryError as error:
        raise errors.QueueFull("The queue's server has no memory left.", retry_after_seconds=5.0) from error
    except (*BROKEN, exceptions.TimeoutError, OSError) as error:
        reason = errors.excerpt(error) or "it took too long"
        what = "refuses the user or password" if _is_refusal(error) else "does not answer"
        raise errors.QueueUnavailable(f"The queue's server {what}: {reason}") from error
    except exceptions.RedisError as error:
        raise errors.QueueUnavailable(f"The queue's server refuses: {errors.excerpt(error)}") from error


def _is_refusal(error: BaseException | None) -> bool:
    """Whether the server knows us not; its client wraps what it says while it connects."""
    return isinstance(error, exceptions.AuthenticationError) or (
        error is not None and isinstance(error.__cause__, exceptions.AuthenticationError)
    )
