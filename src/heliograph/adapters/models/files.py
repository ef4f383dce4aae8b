"""Weights files: checked against their sha256, written whole or not at all, made once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from heliograph.core.ports import Progress

CHUNK_BYTES = 1 << 20


class SourceFailed(Exception):
    """A source does not have the file; the message says why and fits on one line."""


def read_chunks(path: Path, *, most: int) -> Iterator[bytes]:
    """The bytes of a regular file, at most ``most`` and one more, also if it grows meanwhile.

    Raises:
        SourceFailed: it is not there, not a regular file, or cannot be read.
    """
    try:
        # Opening a pipe would wait for its other end without O_NONBLOCK.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SourceFailed(f"{path} is not a file")
            left = most + 1
            while left > 0 and (chunk := stream.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise SourceFailed(f"{path}: {error.strerror}") from error


def checked(
    chunks: Iterable[bytes], *, what: str, sha256: str, size: int | None, most: int
) -> Iterator[bytes]:
    """``chunks``, which raise at the latest behind the last one if they are not what was expected.

    Args:
        chunks: the bytes as they come.
        what: where they come from, for the message.
        sha256: of all of them, as lower-case hex.
        size: how many bytes there must be, or None where only ``most`` is known.
        most: how many bytes there may be.

    Raises:
        SourceFailed: too many bytes, too few, or others.
    """
    digest = hashlib.sha256()
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > most:
            raise SourceFailed(f"{what} has more than {most:,} bytes")
        digest.update(chunk)
        yield chunk
    if size is not None and count != size:
        raise SourceFailed(f"{what} has {count:,} bytes instead of {size:,}")
    if digest.hexdigest() != sha256:
        raise SourceFailed(
            f"{what} has another sha256 ({digest.hexdigest()[:12]}… instead of {sha256[:12]}…)"
        )


class FileChecks:
    """Checks files against their sha256 and remembers, so that an unchanged file is read once."""

    def __init__(self) -> None:
        self._good: dict[tuple[str, str], tuple[int, int, int, int]] = {}

    def check(self, path: Path, *, sha256: str, size: int) -> None:
        """Returns if the file is the one expected.

        Raises:
            SourceFailed: it is missing, not a regular file, or another one.
        """
        try:
            state = path.stat()
        except (OSError, RuntimeError) as error:
            raise SourceFailed(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        if not stat.S_ISREG(state.st_mode):
            raise SourceFailed(f"{path} is not a file")
        if state.st_size != size:
            raise SourceFailed(f"{path} has {state.st_size:,} bytes instead of {size:,}")
        signature = (state.st_dev, state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
        if self._good.get((str(path), sha256)) == signature:
            return
        chunks = read_chunks(path, most=size)
        for _ in checked(chunks, what=str(path), sha256=sha256, size=size, most=size):
            pass
        self._good[str(path), sha256] = signature


def write_whole(
    target: Path, chunks: Iterable[bytes], *, size: int, progress: Progress | None = None
) -> None:
    """Writes the file so that others see all of it or nothing, also after a power cut.

    Raises:
        OSError: the folder cannot be written.
        Exception: what ``chunks`` raises; nothing is left then.
    """
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            count = 0
            for chunk in chunks:
                stream.write(chunk)
                count += len(chunk)
                if progress is not None:
                    progress(count, size)
            stream.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def clear_parts(target: Path) -> None:
    """Removes what processes that were killed left of ``target``; the caller holds its lock."""
    for part in target.parent.glob(f".{target.name}.*.part"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename in ``folder`` survive a power cut, where the file system can promise that."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on ``path``, which is made; waits for processes and threads that hold it.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
