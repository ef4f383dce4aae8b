"""Packages that come into the store whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from heliograph.adapters.models.files import locked
from heliograph.core import errors

UNFINISHED = ".adding-"
REPLACED = ".replaced-"
LOCK = ".adding.lock"


@contextlib.contextmanager
def workbench(store: Path) -> Iterator[Path]:
    """A folder in the store for a package that is being made; it is gone afterwards. One is made at a time.

    Raises:
        ModelError: the store cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with locked(store / LOCK):
            _clear(store)
            with tempfile.TemporaryDirectory(
                prefix=UNFINISHED, dir=store, ignore_cleanup_errors=True
            ) as folder:
                yield Path(folder)
    except OSError as error:
        raise errors.ModelError(
            f"The store {store} cannot be written: {error.strerror or errors.excerpt(error)}. "
            "HELIOGRAPH_MODEL_DIR names another folder."
        ) from error


def install(package: Path, store: Path) -> Path:
    """Moves a finished package from the workbench to its place, where it may replace one of its name.

    Raises:
        OSError: the store cannot be written.
    """
    target = store / package.name
    package.chmod(0o755)
    if target.is_symlink() or target.exists():
        aside = Path(tempfile.mkdtemp(prefix=REPLACED, dir=store))
        target.rename(aside / target.name)
        package.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        package.rename(target)
    return target


def _clear(store: Path) -> None:
    """Removes what processes that were killed left behind; the caller holds the lock."""
    for pattern in (UNFINISHED, REPLACED):
        for left in store.glob(f"{pattern}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
