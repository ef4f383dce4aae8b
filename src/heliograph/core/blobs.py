"""The port of the blob store: where large payloads and results lie, if not in the broker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class BlobKind(StrEnum):
    """What a blob is of a job."""

    PAYLOAD = "payload"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A blob that is there, and for how many seconds it has been."""

    job_id: str
    kind: BlobKind
    age_seconds: float


class BlobStore(Protocol):
    """Keeps bytes of jobs by the job's id. Every method blocks and may run in any thread.

    All raise `BlobStoreUnavailable` when the store cannot be reached, is full, or does not answer.
    """

    def put(self, job_id: str, kind: BlobKind, data: bytes) -> None:
        """Keeps bytes: after this returns they are there for every process, whole, also after a power cut."""

    def get(self, job_id: str, kind: BlobKind) -> bytes | None:
        """The bytes; None if they are not there (any more)."""

    def remove(self, job_id: str, kind: BlobKind) -> None:
        """Removes the bytes, if they are there."""

    def older_than(self, seconds: float) -> Iterator[StoredBlob]:
        """What has been there for longer, oldest folders first; for clearing up after processes that died."""
