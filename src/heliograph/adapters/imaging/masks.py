"""Pictures in folders that have masks beside them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

MASK_ENDING = ".mask.png"
"""Of a mask's name, after that of its picture without ending."""
_OTHER_ENDINGS = (".png", "_mask.png")


def masked(folder: Path, endings: Collection[str]) -> list[tuple[Path, Path]]:
    """The pictures in a folder and below that have a mask, and those, in the order of their names.

    The mask of ``NAME.jpg`` is ``NAME.mask.png``, ``NAME.png`` or ``NAME_mask.png`` beside it, or ``masks/NAME.png``.

    Args:
        folder: where to look.
        endings: of pictures, in small letters, with their dots.

    Raises:
        OSError: the folder cannot be read.
    """
    next(folder.iterdir(), None)  # what walks through folders is silent about one that cannot be read
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in endings and not path.name.lower().endswith("mask.png") and path.is_file():
            places = [path.with_name(path.stem + ending) for ending in (MASK_ENDING, *_OTHER_ENDINGS)]
            places.append(path.parent / "masks" / f"{path.stem}.png")
            mask = next((place for place in places if place != path and place.is_file()), None)
            if mask is not None:
                found.append((path, mask))
    return found
