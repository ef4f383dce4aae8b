"""Folders on this machine: the locked one where a queue is kept, and short private ones for sockets."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heliograph.core import errors

LOCK = "lock"
SOCKET_PATH_BYTES = 103
"""The longest name that a socket can have everywhere; macOS allows no more."""
SHORT_FOLDER = Path("/", "tmp")
PREFIX = "heliograph-"


@contextmanager
def locked_folder(folder: Path) -> Iterator[Path]:
    """A folder that is ours alone while the context is open; it is made, for us only, where it is missing.

    Raises:
        SettingsInvalid: it cannot be used, or another process has it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        if not try_lock(descriptor):
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise errors.SettingsInvalid(
                f"The data folder {folder} is in use by another `heliograph up` (pid {errors.excerpt(owner)}); "
                "stop that one, or name another folder with --data-dir."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield folder
    finally:
        os.close(descriptor)


def unusable(folder: Path, error: OSError) -> errors.SettingsInvalid:
    """The refusal of a data folder."""
    return errors.SettingsInvalid(f"The data folder {folder} cannot be used: {error.strerror or error}.")


def try_lock(descriptor: int) -> bool:
    """Whether the file is locked now, for whoever has the descriptor, also by inheritance."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder for us only, whose name is short enough for sockets in it; gone afterwards."""
    where = Path(tempfile.gettempdir())
    if not fits(where / f"{PREFIX}12345678" / "fleet.sock"):
        where = SHORT_FOLDER
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fits(path: Path) -> bool:
    """Whether a socket can have this name."""
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES
