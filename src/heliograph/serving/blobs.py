"""Large payloads and results beside the queue: frames that stand for them, and what clears up after the dead.

The queue keeps a frame in place of the bytes. Its first byte says whether they follow or lie in the store, so no
bytes of a client can pose as the one or the other. Where they lie follows from the job's id and, for a result, from
the token of the attempt: what a worker that was fenced off does never touches the result that counts.

`heliograph.serving.offloading` has the two ends of the queue that use it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName, BlobStore, StoredBlob
from heliograph.core.jobs import JobState
from heliograph.core.queue import JobDesk
from heliograph.serving.threads import WorkerThreads

log = logging.getLogger(__name__)

READ_SECONDS = 5.0
"""Shorter than a lease: a worker whose store hangs gives its jobs back before they are taken for lost."""
WRITE_SECONDS = 20.0
LOOKS_AT_ONCE = 50
HERE, ELSEWHERE = b"\x00", b"\x01"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the queue keeps in place of bytes, and how many more those were; -1 for bytes that stay in it."""

    data: bytes
    kept_elsewhere: int


class Shelf:
    """Puts bytes into a store and frames into their place, and the other way round.

    Args:
        blobs: the store; with None everything stays in the queue, and what another process put elsewhere cannot be
            had here.
        threads: for its calls. They hang as long as the store does, so nothing else should need them.
        min_bytes: what is smaller stays in the queue; so does what is empty.
    """

    def __init__(self, blobs: BlobStore | None, threads: WorkerThreads, *, min_bytes: int = 0) -> None:
        self.blobs = blobs
        self._threads = threads
        self._min_bytes = max(1, min_bytes)

    def keeps(self, data: bytes) -> bool:
        """Whether these bytes go into the store."""
        return self.blobs is not None and len(data) >= self._min_bytes

    def frame(self, name: BlobName, data: bytes) -> Frame:
        """What the queue is to keep, once the bytes are in the store if they go there."""
        frame = ELSEWHERE + name.version.encode() if self.keeps(data) else HERE + data
        return Frame(data=frame, kept_elsewhere=len(data) - len(frame))

    async def keep(self, blobs: Sequence[tuple[BlobName, bytes]]) -> Sequence[errors.HeliographError | None]:
        """Puts bytes into the store; for each why that failed, if it did.

        Raises:
            BlobStoreUnavailable: the store is too slow.
        """
        if self.blobs is None:
            return [None] * len(blobs)
        return await self.each([partial(self.blobs.put, *blob) for blob in blobs], WRITE_SECONDS)

    async def fetch(
        self, frames: Sequence[tuple[BlobName, bytes]]
    ) -> Sequence[bytes | errors.HeliographError | None]:
        """The bytes that frames stand for, or why they cannot be had; None for those that are gone.

        Raises:
            BlobStoreUnavailable: the store is too slow.
        """
        elsewhere = [(name, frame) for name, frame in frames if not frame.startswith(HERE)]
        found = iter(await self.each([partial(self._open, *one) for one in elsewhere], READ_SECONDS))
        return [frame[1:] if frame.startswith(HERE) else next(found) for _, frame in frames]

    def _open(self, name: BlobName, frame: bytes) -> bytes | None:
        if not frame.startswith(ELSEWHERE):
            raise errors.HeliographError("What lies in the queue has no frame: another version wrote it.")
        if self.blobs is None:
            raise errors.BlobStoreUnavailable(
                "Another process has a folder of large payloads, and this has none."
            )
        return self.blobs.get(replace(name, version=version_of(frame)))

    async def drop(self, names: Sequence[BlobName]) -> None:
        """Removes what is not needed any more; what cannot be removed now is left to the sweep."""
        if self.blobs is None:
            return
        try:
            answers = await self.each([partial(self.blobs.remove, name) for name in names], READ_SECONDS)
        except errors.BlobStoreUnavailable as error:
            answers = [error]
        if failed := [answer for answer in answers if answer is not None]:
            log.warning("blobs left over", extra={"reason": failed[0].message})

    async def is_usable(self) -> bool:
        """Whether the store can keep and give bytes now."""
        if self.blobs is None:
            return False
        try:
            (answer,) = await self.each([self.blobs.check], READ_SECONDS)
        except errors.BlobStoreUnavailable:
            return False
        return answer is None

    async def each(
        self, calls: Sequence[Callable[[], T]], seconds: float
    ) -> Sequence[T | errors.HeliographError]:
        """What each call returns in a thread, or which error of ours it raises.

        Raises:
            BlobStoreUnavailable: they took longer than so many seconds, all together.
        """
        if not calls:
            return ()
        try:
            async with asyncio.timeout(seconds):
                tasks = (self._threads.run(call) for call in calls)
                answers = await asyncio.gather(*tasks, return_exceptions=True)
        except TimeoutError as error:
            raise errors.BlobStoreUnavailable(
                "The store of large payloads did not answer in time."
            ) from error
        return [_told(answer) for answer in answers]


def data_here(frame: bytes) -> bytes | None:
    """The bytes in a frame; None for one that stands for bytes elsewhere."""
    return frame[1:] if frame.startswith(HERE) else None


def version_of(frame: bytes) -> str:
    """Which version of a blob a frame stands for; "" for bytes that are here."""
    return frame[1:].decode("ascii", "replace") if frame.startswith(ELSEWHERE) else ""


def _told(answer: T | BaseException) -> T | errors.HeliographError:
    if isinstance(answer, BaseException) and not isinstance(answer, errors.HeliographError):
        raise answer
    return answer


class BlobSweep:
    """Removes what no job needs (any more): results that expired, and what processes that died have left.

    Args:
        desk: the queue's end without the store.
        shelf: where its blobs are.
        payload_seconds: how old a payload must be before it is doubted; far longer than a request takes.
        result_seconds: how old a result; not before the queue lets it expire.
    """

    def __init__(
        self, desk: JobDesk, shelf: Shelf, *, payload_seconds: float = 900.0, result_seconds: float = 3600.0
    ) -> None:
        self._desk = desk
        self._shelf = shelf
        self._least_age = {BlobKind.PAYLOAD: payload_seconds, BlobKind.RESULT: result_seconds}
        self._cursor = ""

    @property
    def is_under_way(self) -> bool:
        """Whether the next call goes on, and does not begin anew."""
        return bool(self._cursor)

    async def sweep(self, *, limit: int = 20_000) -> int:
        """Goes through the store, until about so many blobs were doubted; how many were removed.

        To be called about every minute by one task. A call goes on where the last one stopped.

        Raises:
            BlobStoreUnavailable: the store cannot be read.
            QueueUnavailable: nobody knows what is needed.
        """
        doubted, removed = 0, 0
        while True:
            old = await self._next_page()
            doubted += len(old)
            for first in range(0, len(old), LOOKS_AT_ONCE):
                part = old[first : first + LOOKS_AT_ONCE]
                needed = await asyncio.gather(*(self._is_needed(name) for name in part))
                loose = [name for name, is_needed in zip(part, needed, strict=True) if not is_needed]
                await self._shelf.drop(loose)
                removed += len(loose)
            if doubted >= limit or not self._cursor:
                break
        return removed

    async def _next_page(self) -> Sequence[BlobName]:
        """What is old enough in the next part of the store."""
        blobs, cursor = self._shelf.blobs, self._cursor
        if blobs is None:
            return ()
        least = min(self._least_age.values())
        (page,) = await self._shelf.each(
            [lambda: blobs.page(cursor, older_than_seconds=least)], WRITE_SECONDS
        )
        if isinstance(page, errors.HeliographError):
            raise page
        self._cursor = page.next_cursor
        return [blob.name for blob in page.blobs if self._is_old(blob)]

    def _is_old(self, blob: StoredBlob) -> bool:
        return blob.age_seconds > self._least_age[blob.name.kind]

    async def _is_needed(self, name: BlobName) -> bool:
        """Whether a job may still be done with this payload, or answered with this result. A no is for ever."""
        job = await self._desk.job(name.job_id)
        if job is None or job.is_expired:
            return False
        if not job.state.is_final:
            return True
        if name.kind is BlobKind.PAYLOAD:
            return job.state is JobState.DEAD  # it may be queued again
        if job.state is not JobState.DONE:
            return False
        result = await self._desk.result(name.job_id)
        return result is not None and version_of(result.data) == name.version
