"""Large payloads and results as files in a folder that gateway and workers share, such as an NFS volume.

::

    FOLDER/.heliograph-blobs            the mark: whose folder this is
    FOLDER/3/fa/JOB.payload             3fa begins the hash of the job's id
    FOLDER/3/fa/JOB.TOKEN.result
    FOLDER/3/fa/.JOB.payload.1f2e.part  while it is written
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from heliograph.core import errors
from heliograph.core.blobs import BlobKind, BlobName, BlobPage, StoredBlob

MARK = ".heliograph-blobs"
FOLDERS = 16 * 256
FOLDERS_A_PAGE = 16
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_JOB_ID = re.compile(r"[A-Za-z0-9-]{1,128}")
_VERSION = re.compile(r"[A-Za-z0-9]{0,64}")
_FOLDER = re.compile(r"[0-9a-f]{1,2}")
_FILE = re.compile(r"(?P<job>[A-Za-z0-9-]+)(?:\.(?P<version>[A-Za-z0-9]+))?\.(?P<kind>payload|result)")


class FolderBlobs:
    """Implements `heliograph.core.blobs.BlobStore` in a folder that belongs to one queue alone.

    The folder must exist and bear the queue's mark, so that a volume that is not mounted is noticed: there it would
    be empty, pictures would be lost on a wrong disk, or looked for in vain and taken for lost.
    """

    def __init__(self, folder: Path, queue: str) -> None:
        """The store of a queue in a folder, which is not touched yet."""
        self._folder = folder
        self._mark = f"Payloads and results of the queue {queue}.\n".encode()
        self._durable: set[Path] = set()
        """Folders whose own entries this process has made to outlive a power cut."""

    def prepare(self) -> None:
        """Marks the folder as this queue's, if it bears no mark, and checks it. For who puts the first jobs there.

        Raises:
            SettingsInvalid: it belongs to another queue, which would take our blobs for left over.
            BlobStoreUnavailable: it is not there, or cannot be used.
        """
        with _translated():
            if not self._folder.is_dir():
                raise errors.BlobStoreUnavailable(
                    "The folder of large payloads is not there. It is never made, so that a volume that is not "
                    "mounted is noticed."
                )
            if self._read(MARK) is None:
                _write_whole(self._folder / MARK, self._mark)
            if self._read(MARK) != self._mark:
                raise errors.SettingsInvalid("The folder of large payloads belongs to another queue.")
        self.check()

    def check(self) -> None:
        """Returns if a file can be written, renamed, read and removed."""
        trial = self._numbered(0) / f".check.{secrets.token_hex(8)}.part"
        with _translated():
            self._demand_mark()
            self._write(trial, self._mark)
            found = trial.read_bytes()
            trial.unlink()
        if found != self._mark:
            raise errors.BlobStoreUnavailable("The folder of large payloads does not keep what is written.")

    def put(self, name: BlobName, data: bytes) -> None:
        """Keeps bytes, unless they are there already."""
        path = self._path(name)
        with _translated():
            self._demand_mark()
            if path.exists():
                _sync_folder(path.parent)  # whoever wrote it may not have come so far
            else:
                self._write(path, data)

    def get(self, name: BlobName) -> bytes | None:
        """The bytes; None if they are not there."""
        with _translated():
            data = self._read(self._path(name))
            if data is None:
                self._demand_mark()
            return data

    def remove(self, name: BlobName) -> None:
        """Removes the bytes, if they are there."""
        with _translated():
            self._path(name).unlink(missing_ok=True)

    def page(self, cursor: str, *, older_than_seconds: float) -> BlobPage:
        """What is in the next folders for longer. Files half written that are as old are removed.

        A cursor is the last folder of the page before.
        """
        found: list[StoredBlob] = []
        with _translated():
            now = self._now()
            folders = list(islice(self._folders_after(cursor), FOLDERS_A_PAGE))
            for folder in folders:
                for path, since in _files(self._folder / folder):
                    age = now - since
                    if age > older_than_seconds:
                        if path.suffix == ".part":
                            path.unlink(missing_ok=True)
                        elif (name := _name(path)) is not None:
                            found.append(StoredBlob(name=name, age_seconds=age))
        is_last = len(folders) < FOLDERS_A_PAGE
        return BlobPage(blobs=tuple(found), next_cursor="" if is_last else folders[-1])

    def _folders_after(self, cursor: str) -> Iterator[str]:
        """The folders of the second level that are there, in their order."""
        for first in _folder_names(self._folder):
            if first >= cursor[:1]:
                for second in _folder_names(self._folder / first):
                    if (name := f"{first}/{second}") > cursor:
                        yield name

    def _now(self) -> float:
        """The time by the clock of whoever keeps the files, which sets theirs."""
        self._demand_mark()
        os.utime(self._folder / MARK)
        return (self._folder / MARK).stat().st_mtime

    def _path(self, name: BlobName) -> Path:
        """Where a blob lies. Names that are not ours are a bug, and reach no file."""
        if not _JOB_ID.fullmatch(name.job_id) or not _VERSION.fullmatch(name.version):
            raise ValueError(f"not the name of a blob: {errors.excerpt(name)}")
        digest = hashlib.sha256(name.job_id.encode()).digest()
        parts = [part for part in (name.job_id, name.version, name.kind.value) if part]
        return self._numbered(int.from_bytes(digest[:2]) >> 4) / ".".join(parts)

    def _numbered(self, number: int) -> Path:
        return self._folder / f"{number >> 8:x}" / f"{number & 0xFF:02x}"

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._make(path.parent)
            _write_whole(path, data)
        except FileNotFoundError:
            self._durable.clear()  # somebody has removed folders; the next call makes them anew
            raise

    def _make(self, folder: Path) -> None:
        """Makes a folder of the second level, and what leads there, to outlive a power cut."""
        for one in (folder.parent, folder):
            if one not in self._durable:
                with suppress(FileExistsError):
                    one.mkdir(mode=0o770)
                _sync_folder(one.parent)
                self._durable.add(one)

    def _demand_mark(self) -> None:
        """Raises if this is not, or not any more, the folder that `prepare` marked."""
        found = self._read(MARK)
        if found is None:
            raise errors.BlobStoreUnavailable(
                "The folder of large payloads does not bear its mark: is the volume mounted, and did a gateway run?"
            )
        if found != self._mark:
            raise errors.BlobStoreUnavailable("The folder of large payloads belongs to another queue.")

    def _read(self, place: Path | str) -> bytes | None:
        """A file's bytes; None if there is none. One that was removed while it was read is stale, and then gone."""
        for is_last in (False, True):
            try:
                return (self._folder / place).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                if is_last or error.errno != errno.ESTALE:
                    raise
        return None


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that others see all of it or nothing, also after a power cut."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            part.unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes names in a folder outlive a power cut, where its file system knows of such a thing."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _folder_names(folder: Path) -> Sequence[str]:
    """Names of our folders in one, in their order."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _FOLDER.fullmatch(entry.name))


def _files(folder: Path) -> Iterator[tuple[Path, float]]:
    """The files in a folder and since when they are there."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        with suppress(FileNotFoundError):
            yield Path(entry.path), entry.stat(follow_symlinks=False).st_mtime


def _name(path: Path) -> BlobName | None:
    """Whose file this is; None for one that is none of ours."""
    found = _FILE.fullmatch(path.name)
    if found is None:
        return None
    return BlobName(job_id=found["job"], kind=BlobKind(found["kind"]), version=found["version"] or "")


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what the file system refuses into our error. Clients read it, so it names no path."""
    try:
        yield
    except OSError as error:
        reason = f"does not answer: {error.strerror or type(error).__name__}"
        if error.errno in FULL:
            reason = "is full."
        elif error.errno in FORBIDDEN:
            reason = f"may not be used: {error.strerror}"
        elif isinstance(error, FileNotFoundError | NotADirectoryError):
            reason = "is not there."
        raise errors.BlobStoreUnavailable(f"The folder of large payloads {reason}") from error
