"""A queue of one test whose payloads and results lie in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from heliograph.adapters.blobs.folder import MARK, FolderBlobs
from heliograph.core.blobs import BlobName
from heliograph.core.jobs import Priority
from heliograph.core.queue import JobDesk, JobSource
from heliograph.serving.blobs import BlobSweep, Shelf
from heliograph.serving.offloading import OffloadingDesk, OffloadingSource
from heliograph.serving.threads import WorkerThreads
from queue_trials import Trial


class OffloadedTrial:
    """Another trial's queue with a blob store around it. Nothing may be left in either."""

    def __init__(self, trial: Trial, folder: Path, *, min_bytes: int = 0) -> None:
        self.trial = trial
        self.folder = folder
        self.blobs = FolderBlobs(folder, "tried")
        self.blobs.prepare()
        self._threads = WorkerThreads(4, name="blobs")
        self.shelf = Shelf(self.blobs, self._threads, min_bytes=min_bytes)
        self.desk: JobDesk = OffloadingDesk(trial.desk, self.shelf)
        self.source: JobSource = OffloadingSource(trial.source, self.shelf)

    async def later(self, seconds: float) -> None:
        await self.trial.later(seconds)

    async def undelivered(self) -> Mapping[Priority, int]:
        return await self.trial.undelivered()

    async def sweep(self) -> int:
        """Doubts every blob, of any age; how many were removed."""
        sweep = BlobSweep(self.trial.desk, self.shelf, payload_seconds=-1.0, result_seconds=-1.0)
        removed = await sweep.sweep(limit=10**6)
        while sweep.is_under_way:
            removed += await sweep.sweep(limit=10**6)
        return removed

    async def left(self) -> Sequence[str]:
        await self.sweep()
        return [*await self.trial.left(), *blob_files(self.folder)]

    async def close(self) -> None:
        await self.trial.close()
        self._threads.close()

    def file_of(self, name: BlobName) -> Path:
        """Where a blob lies."""
        (file,) = self.folder.rglob(".".join(filter(None, (name.job_id, name.version, name.kind.value))))
        return file

    @contextmanager
    def away(self) -> Iterator[None]:
        """The store's volume is not mounted for a while."""
        volume = self.folder.with_name(f"{self.folder.name}-volume")
        self.folder.rename(volume)
        self.folder.mkdir()
        try:
            yield
        finally:
            self.folder.rmdir()
            volume.rename(self.folder)


def blob_files(folder: Path) -> Sequence[str]:
    """The files in a blob store, without its mark."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != MARK)
