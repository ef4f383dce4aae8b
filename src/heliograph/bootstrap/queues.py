"""The queue of a process: in its memory, or on a server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heliograph.bootstrap.parts import background
from heliograph.core import errors
from heliograph.core.fleet import FleetLog
from heliograph.core.queue import JobDesk, JobSource, QueueRules
from heliograph.serving.threads import WorkerThreads
from heliograph.serving.upkeep import Sweep
from heliograph.settings import Settings

if TYPE_CHECKING:
    from heliograph.adapters.blobs.folder import FolderBlobs
    from heliograph.adapters.queue.redis_server import RedisServer

log = logging.getLogger("heliograph.queue")

CHECK_AGAIN_SECONDS = 2.0
FOLDER_AGAIN_SECONDS = 10.0
BLOB_THREADS = 4
"""For the store of large payloads alone: they hang as long as it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Both ends of a queue, whether it outlives its server, and what its server keeps beside it.

    ``sweep`` clears up its blob store, where there is one.
    """

    desk: JobDesk
    source: JobSource
    rules: QueueRules
    is_durable: bool = False
    sweep: Sweep | None = None
    fleet_log: FleetLog | None = None


def queue_rules(settings: Settings) -> QueueRules:
    """The numbers of the protocol, as the settings have them."""
    return QueueRules(
        max_jobs=settings.max_queued_jobs,
        max_bytes=settings.max_queued_bytes,
        lease_seconds=settings.lease_seconds,
        result_seconds=settings.result_seconds,
    )


def memory_queue(settings: Settings) -> Queue:
    """A queue that ends with the process. It keeps less than a server would, unless the settings say how much."""
    from heliograph.adapters.queue.memory import MemoryQueue
    from heliograph.adapters.queue.memory_desk import MemoryDesk
    from heliograph.adapters.queue.memory_source import MemorySource

    rules = queue_rules(settings)
    if "max_queued_bytes" not in settings.model_fields_set:
        rules = replace(rules, max_bytes=settings.max_upload_bytes)
    queue = MemoryQueue(rules, time.time)
    return Queue(desk=MemoryDesk(queue), source=MemorySource(queue), rules=rules)


@asynccontextmanager
async def server_queue(settings: Settings, *, is_gateway: bool = False) -> AsyncIterator[Queue]:
    """The queue on the server that the settings name. One that is not there yet may come later.

    Raises:
        SettingsInvalid: there is no address, or it is not one, or the server cannot hold a queue or refuses us; or the
            folder of large payloads is another queue's.
    """
    from heliograph.adapters.blobs.folder import FolderBlobs  # `serve` does without all of these
    from heliograph.adapters.queue.redis_desk import RedisDesk
    from heliograph.adapters.queue.redis_fleet_log import RedisFleetLog
    from heliograph.adapters.queue.redis_server import RedisServer
    from heliograph.adapters.queue.redis_source import RedisSource
    from heliograph.serving.blobs import BlobSweep, Shelf
    from heliograph.serving.offloading import OffloadingDesk, OffloadingSource

    if settings.redis_url is None:
        raise errors.SettingsInvalid(
            "HELIOGRAPH_REDIS_URL names no server for the queue, such as redis://localhost:6379/0. "
            "`heliograph up` brings one along; `heliograph serve` needs none."
        )
    rules = queue_rules(settings)
    password = settings.redis_password.get_secret_value() if settings.redis_password else None
    server = RedisServer(settings.redis_url.get_secret_value(), settings.queue, password)
    desk, source = RedisDesk(server, rules), RedisSource(server, rules)
    whose = " of ".join(filter(None, (settings.queue, settings.blob_owner)))
    blobs = FolderBlobs(settings.blob_dir, whose) if settings.blob_dir else None
    with WorkerThreads(BLOB_THREADS, name="blobs") as threads:
        shelf = Shelf(blobs, threads, min_bytes=settings.min_blob_bytes)
        try:
            beside = [] if await _is_there(server) else [_await_server(server)]
            if blobs is not None and not await _is_usable(blobs, is_gateway=is_gateway):
                beside.append(_await_folder(blobs, is_gateway=is_gateway))
            async with background(*beside):
                yield Queue(
                    desk=OffloadingDesk(desk, shelf),
                    source=OffloadingSource(source, shelf),
                    rules=rules,
                    is_durable=server.is_durable is not False,
                    fleet_log=RedisFleetLog(server),
                    sweep=BlobSweep(desk, shelf, result_seconds=settings.result_seconds).sweep
                    if blobs
                    else None,
                )
        finally:
            await server.close()


async def _is_usable(blobs: FolderBlobs, *, is_gateway: bool) -> bool:
    """Whether the folder of large payloads can be used; if it cannot, the log says so.

    A worker does not mark the folder: what is not mounted must not look like one of ours.
    """
    try:
        await asyncio.to_thread(blobs.prepare if is_gateway else blobs.check)
    except errors.BlobStoreUnavailable as error:
        log.warning("folder of large payloads cannot be used", extra={"reason": error.message})
        return False
    return True


async def _await_folder(blobs: FolderBlobs, *, is_gateway: bool) -> None:
    """Tries a folder that could not be used until it can be."""
    while True:
        await asyncio.sleep(FOLDER_AGAIN_SECONDS)
        if await _is_usable(blobs, is_gateway=is_gateway):
            log.info("folder of large payloads is there")
            return


async def _is_there(server: RedisServer) -> bool:
    """Whether the server answers and can hold a queue; if it does not answer, the log says so."""
    try:
        await server.check()
    except errors.QueueUnavailable as error:
        log.warning("queue away: waiting for it", extra={"reason": error.reason or error.message})
        return False
    return True


async def _await_server(server: RedisServer) -> None:
    """Checks a server that was not there once it is; one that cannot hold a queue is told of, again and again."""
    while True:
        await asyncio.sleep(CHECK_AGAIN_SECONDS)
        try:
            await server.check()
        except errors.QueueUnavailable:
            continue
        except errors.SettingsInvalid as error:
            log.error("queue cannot be used", extra={"reason": error.message})
            continue
        log.info("queue is there")
        return
