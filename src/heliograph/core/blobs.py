"""The port of the blob store: where large payloads and results lie, if not in the broker."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class BlobKind(StrEnum):
    """What a blob is of a job."""

    PAYLOAD = "payload"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobName:
    """Which bytes of which job. ``version`` tells results of several attempts apart; letters and digits, or ""."""

    job_id: str
    kind: BlobKind
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A blob that is there, and for how many seconds it has been, by the store's clock."""

    name: BlobName
    age_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobPage:
    """Some of what is there, and where the next page begins; "" at the end."""

    blobs: tuple[StoredBlob, ...]
    next_cursor: str = ""


class BlobStore(Protocol):
    """Keeps bytes of jobs. What is under a name never changes. Every method blocks and may run in any thread.

    All raise `BlobStoreUnavailable` when the store cannot be reached, is full, or refuses.
    """

    def check(self) -> None:
        """Returns if bytes can be kept and read now."""

    def put(self, name: BlobName, data: bytes) -> None:
        """Keeps bytes: after this returns they are there for every process, whole, also after a power cut.

        What is there already under this name stays.
        """

    def get(self, name: BlobName) -> bytes | None:
        """The bytes; None if they are not there (any more)."""

    def remove(self, name: BlobName) -> None:
        """Removes the bytes, if they are there."""

    def page(self, cursor: str, *, older_than_seconds: float) -> BlobPage:
        """What has been there for longer, a part of the store at a time; for clearing up after processes that died.

        The first page is at "". A page may be empty and not the last.
        """
