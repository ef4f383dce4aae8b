"""Folders of photographs, some with masks, and the labels of those without."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from heliograph.adapters.imaging.masks import is_named_mask, masked
from heliograph.core.pictures import UInt8Array

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
SUBJECT_FROM = 128
"""The least level of a label's brightest pixel: below it nobody has seen a subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """A picture file, and the file of its label: a grey picture of the same shape, 255 for the subject."""

    path: Path
    label: Path
    by_hand: bool
    """Whether people made the label."""


def find(folders: Iterable[Path], labels: Path) -> list[Photograph]:
    """The photographs in ``folders`` and all that is in them, in the order of their names.

    A photograph that has a mask (see `masked`) has been masked by people; one without has its label in
    ``labels``, where a teacher writes it, under a name that its bytes give: another picture never gets it.

    Raises:
        OSError: a photograph or a folder cannot be read.
        ValueError: there is no photograph.
    """
    found = []
    for folder in folders:
        masks = dict(masked(folder, ENDINGS))
        taken = set(masks.values())
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in ENDINGS or is_named_mask(path.name) or not path.is_file():
                continue
            if path in masks:
                found.append(Photograph(path=path, label=masks[path], by_hand=True))
            elif path not in taken:
                label = labels / f"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}.png"
                found.append(Photograph(path=path, label=label, by_hand=False))
    if not found:
        raise ValueError(f"There is no photograph in {', '.join(map(str, folders))}.")
    return found


def read(photograph: Photograph) -> tuple[UInt8Array, UInt8Array]:
    """The pixels (height, width, 3), red first, and the label (height, width) at their size.

    Raises:
        OSError: one of the two cannot be read.
    """
    rgb = read_picture(photograph.path)
    label = cv2.imread(str(photograph.label), cv2.IMREAD_GRAYSCALE)
    if label is None:
        raise OSError(f"{photograph.label} is not a picture that can be read.")
    if photograph.by_hand:
        label = cv2.medianBlur(label, 5)  # small holes and spikes of a hand that was in a hurry
    height, width = rgb.shape[:2]
    if label.shape != (height, width):
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_LINEAR)
    return rgb, np.asarray(label, np.uint8)


def read_picture(path: Path) -> UInt8Array:
    """The pixels (height, width, 3) of a picture file, red first, upright.

    Raises:
        OSError: it cannot be read.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise OSError(f"{path} is not a picture that can be read.")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def has_subject(label: UInt8Array) -> bool:
    """Whether somebody saw a subject in the picture of this label."""
    return bool(label.max(initial=0) >= SUBJECT_FROM)


def split(
    photographs: Sequence[Photograph], share: float, seed: int
) -> tuple[list[Photograph], list[Photograph]]:
    """Those to learn from and those held out, at least one of each where there are two; the same for the same seed."""
    order = np.random.default_rng(seed).permutation(len(photographs))
    count = min(max(1, round(share * len(photographs))), len(photographs) - 1)
    held_out = set(order[:count].tolist())
    kept = [photograph for number, photograph in enumerate(photographs) if number not in held_out]
    return kept, [photographs[number] for number in sorted(held_out)]
