"""The files that cut-outs are written to."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from heliograph.cli.pictures import PictureSource
from heliograph.core import errors


def make_folder(folder: Path) -> None:
    """Makes the folder that cut-outs go to.

    Raises:
        ParameterInvalid: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.ParameterInvalid(
            f"The folder {errors.excerpt(folder)} cannot be made: {error.strerror}."
        ) from None


def name_files(sources: Sequence[PictureSource], folder: Path, *, suffix: str) -> dict[PictureSource, Path]:
    """Where each picture's cut-out goes: its stem in ``folder``, with -2, -3… where that is taken.

    Taken is the name of another picture's cut-out, in capitals or not, and of every picture that is read.
    """
    read = {identity for source in sources if (identity := _identity(source.path)) is not None}
    taken: set[str] = set()
    files: dict[PictureSource, Path] = {}
    for source in sources:
        path, number = folder / f"{source.stem}{suffix}", 1
        while path.name.casefold() in taken or _identity(path) in read:
            number += 1
            path = folder / f"{source.stem}-{number}{suffix}"
        taken.add(path.name.casefold())
        files[source] = path
    return files


def write_file(path: Path, data: bytes) -> Path:
    """``path``, written whole or not at all.

    Raises:
        ParameterInvalid: it cannot be written.
    """
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise errors.ParameterInvalid(
            f"{errors.excerpt(path)} cannot be written: {error.strerror}."
        ) from None
    return path


def _identity(path: Path | None) -> tuple[int, int] | None:
    """The file behind a path, whatever it is called; None where there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
