"""Packages that come into the store whole or not at all.

Each is made in a folder of its own, which its maker holds a lock on: what nobody holds was left by a process that
was killed. Whoever looks for that, or moves a package to its place, holds the lock of the store meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from heliograph.adapters.models.files import locked
from heliograph.core import errors

UNFINISHED = ".adding-"
REPLACED = ".replaced-"
LOCK = ".adding.lock"
HELD = ".held.lock"


@contextlib.contextmanager
def workbench(store: Path) -> Iterator[Path]:
    """A folder in the store for a package that is being made; it is gone afterwards.

    Raises:
        ModelError: the store cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            with locked(store / LOCK):
                _clear(store)
                folder = tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=store, ignore_cleanup_errors=True)
                bench = Path(stack.enter_context(folder))
                stack.enter_context(locked(bench / HELD))
            yield bench
    except OSError as error:
        raise errors.ModelError(
            f"The store {store} cannot be written: {error.strerror or errors.excerpt(error)}. "
            "HELIOGRAPH_MODEL_DIR names another folder."
        ) from error


def install(package: Path, store: Path, *, replace: bool) -> Path:
    """Moves a finished package from the workbench to its place, where it may replace one of its name.

    Raises:
        ModelError: there is one of its name, which it may not replace.
        OSError: the store cannot be written.
    """
    target = store / package.name
    package.chmod(0o755)
    with locked(store / LOCK):
        if not os.path.lexists(target):
            package.rename(target)
        elif replace:
            _replace(package, target)
        else:
            raise errors.ModelError(
                f"The store has got a model {package.name} meanwhile: --replace puts this one in its place, "
                "--name names it otherwise."
            )
    return target


def _replace(package: Path, target: Path) -> None:
    """Whoever is killed on the way leaves the old package to `_clear`, which puts it back."""
    aside = Path(tempfile.mkdtemp(prefix=REPLACED, dir=target.parent))
    try:
        target.rename(aside / target.name)
        package.rename(target)
    except BaseException:
        _put_back(aside)
        raise
    _discard(aside)


def _clear(store: Path) -> None:
    """Undoes what processes that were killed left behind; the caller holds the lock."""
    for left in store.glob(f"{REPLACED}*"):
        if left.is_dir() and not left.is_symlink():
            with contextlib.suppress(OSError):  # the next one tries again
                _put_back(left)
    for left in store.glob(f"{UNFINISHED}*"):
        if left.is_dir() and not left.is_symlink() and not _is_held(left):
            shutil.rmtree(left, ignore_errors=True)


def _put_back(aside: Path) -> None:
    """Moves the package that was put aside back to its place, unless another is there now."""
    for package in aside.iterdir():
        target = aside.parent / package.name
        if not os.path.lexists(target):
            package.rename(target)
    _discard(aside)


def _discard(aside: Path) -> None:
    """Removes the folder, under a name by which nobody takes what is left of it for a package to put back."""
    rubbish = aside.with_name(UNFINISHED + aside.name.removeprefix(REPLACED))
    aside.rename(rubbish)
    shutil.rmtree(rubbish, ignore_errors=True)


def _is_held(bench: Path) -> bool:
    """Whether a process is at work there."""
    try:
        descriptor = os.open(bench / HELD, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
