"""The pictures that a person names: files, folders, and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from heliograph.core import errors

STANDARD_INPUT = "-"
STANDARD_INPUT_NAME = "stdin"
SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".jfif", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True, eq=False)
class PictureSource:
    """A picture by its name, one each time that it is named; ``path`` is None for standard input."""

    name: str
    path: Path | None

    @property
    def stem(self) -> str:
        """The name of a file made from this picture, without its suffix."""
        return self.path.stem if self.path else self.name

    def read(self, *, most: int) -> bytes:
        """The file, or its first ``most`` bytes and one more, so that a larger one is noticed.

        Raises:
            PictureMissing: it cannot be read.
        """
        try:
            if self.path is None:
                return sys.stdin.buffer.read(most + 1)
            with self.path.open("rb") as stream:
                return stream.read(most + 1)
        except OSError as error:
            raise errors.PictureMissing(f"It cannot be read: {error.strerror or error}.") from None


def find_pictures(names: Iterable[str]) -> list[PictureSource]:
    """Every picture that the names mean: folders are searched for known suffixes, in sorted order.

    Raises:
        PictureMissing: a folder has no picture.
    """
    found: list[PictureSource] = []
    for name in names:
        if name == STANDARD_INPUT:
            found.append(PictureSource(STANDARD_INPUT_NAME, None))
        elif Path(name).is_dir():
            found += _in_folder(Path(name))
        else:
            found.append(PictureSource(name, Path(name)))
    return found


def _in_folder(folder: Path) -> list[PictureSource]:
    paths = sorted(_picture_paths(folder))
    if not paths:
        raise errors.PictureMissing(f"There is no picture in {errors.excerpt(folder)}.")
    return [PictureSource(str(path), path) for path in paths]


def _picture_paths(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
