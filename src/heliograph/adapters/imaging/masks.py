"""Pictures in folders that have masks beside them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

MASK_ENDING = ".mask.png"
"""Of a mask's name, after that of its picture without ending."""
_OTHER_ENDING = "_mask.png"
_FOLDER = "masks"
WANTED = "NAME.jpg wants NAME.mask.png or NAME.png beside it, or masks/NAME.png"
"""What to tell who has none."""


def masked(folder: Path, endings: Collection[str]) -> list[tuple[Path, Path]]:
    """The pictures in a folder and below that have a mask, and those, in the order of their names.

    The mask of ``NAME.jpg`` is ``NAME.mask.png``, ``NAME.png`` or ``NAME_mask.png`` beside it, or ``masks/NAME.png``,
    in small letters or capital ones. What is hidden is left out.

    Args:
        folder: where to look.
        endings: of pictures, in small letters, with their dots.

    Raises:
        OSError: the folder or one below cannot be read.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        beside = {name.lower(): Path(place, name) for name in names}
        apart = next((_files(Path(place, name)) for name in folders if name.lower() == _FOLDER), {})
        for name in names:
            path, stem = Path(place, name), Path(name.lower()).stem
            if path.suffix.lower() not in endings or name.startswith(".") or is_named_mask(name):
                continue
            masks = [beside.get(stem + last) for last in (MASK_ENDING, ".png", _OTHER_ENDING)]
            masks.append(apart.get(f"{stem}.png"))
            mask = next((mask for mask in masks if mask not in (None, path) and mask.is_file()), None)
            if mask is not None and path.is_file():
                found.append((path, mask))
    return sorted(found)


def is_named_mask(name: str) -> bool:
    """Whether a file's name says that it is the mask of another."""
    return name.lower().endswith((MASK_ENDING, _OTHER_ENDING))


def _files(folder: Path) -> Mapping[str, Path]:
    return {path.name.lower(): path for path in folder.iterdir()}


def _refuse(error: OSError) -> None:
    raise error
