"""Pictures of a training: curves, confusion matrices, contact sheets. Needs matplotlib.

matplotlib draws without a window here, and nothing of its global state is changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import UInt8Array

Figure: TypeAlias = Any

DOTS_PER_INCH = 120
NUMBERED_CLASSES = 40
"""With more classes than this a confusion matrix has no numbers, which nobody could read."""
FONTS = [
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "TakaoGothic",
    "Hiragino Sans",
    "Yu Gothic",
]
"""The first that has a character draws it; most machines have one of them for Japanese."""


def draw_curves(
    history: Sequence[Mapping[str, float]], panels: Mapping[str, Sequence[str]], path: Path
) -> None:
    """Writes what was measured by epoch as a picture.

    Args:
        history: rows with ``epoch`` and numbers.
        panels: for each panel, by the name of its axis, the names of the numbers that are drawn in it.
        path: the PNG file.
    """
    with _figure(5 * len(panels), 4, path) as figure:
        for axes, (title, names) in zip(_axes(figure, 1, len(panels)), panels.items(), strict=True):
            for name in names:
                points = [(row["epoch"], row[name]) for row in history if name in row]
                axes.plot(*np.array(points or [(math.nan, math.nan)]).T, label=name, marker=".")
            axes.set(xlabel="epoch", ylabel=title)
            axes.grid(visible=True, alpha=0.3)
            axes.legend()


def draw_confusion(confusion: npt.NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Writes a confusion matrix as a picture: a row a true label, a column an answer."""
    count = len(labels)
    side = 3 + 0.45 * min(count, NUMBERED_CLASSES)
    with _figure(side, side, path) as figure:
        axes = figure.subplots()
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if count <= NUMBERED_CLASSES:
            for (row, column), number in np.ndenumerate(confusion):
                shade = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(number) if number else "", ha="center", va="center", color=shade)
            names = _drawable(labels)
            slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            axes.set_xticks(range(count), names, parse_math=False, **slanted)
            axes.set_yticks(range(count), names, parse_math=False)
        right = np.trace(confusion) / max(1, confusion.sum())
        axes.set(xlabel="answer", ylabel="label", title=f"{right:.1%} of {confusion.sum():,} right")


def draw_sheet(tiles: Sequence[tuple[Sequence[UInt8Array], str]], path: Path, *, across: int = 2) -> None:
    """Writes a contact sheet.

    Args:
        tiles: each one or more pictures side by side, (height, width) grey or (height, width, 3) RGB, and a
            caption. All have the same number of pictures.
        path: the PNG file.
        across: how many tiles stand side by side.
    """
    if not tiles:
        return
    each = len(tiles[0][0])
    down = math.ceil(len(tiles) / across)
    with _figure(2.2 * across * each, 2.4 * down, path) as figure:
        places = list(_axes(figure, down, across * each))
        for axes in places:
            axes.set_axis_off()
        for number, (pictures, caption) in enumerate(tiles):
            for axes, picture in zip(places[number * each : (number + 1) * each], pictures, strict=True):
                axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            places[number * each].set_title(caption, fontsize=8, loc="left", parse_math=False)


@contextmanager
def _figure(width: float, height: float, path: Path) -> Iterator[Figure]:
    """A figure of so many inches, written at the end."""
    from matplotlib import font_manager, rc_context
    from matplotlib.figure import Figure as Drawing

    here = set(font_manager.get_font_names())
    family = [font for font in FONTS if font in here]
    with rc_context({"font.family": family} if family else {}):
        figure = Drawing(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(path, dpi=DOTS_PER_INCH)


def _drawable(labels: Sequence[str]) -> list[str]:
    """The labels, with its number for one that no font here can draw."""
    from matplotlib import font_manager, rcParams

    fonts = [font_manager.get_font(font_manager.findfont(name)) for name in rcParams["font.family"]]
    return [
        label if all(any(font.get_char_index(ord(c)) for font in fonts) for c in label) else str(number)
        for number, label in enumerate(labels)
    ]


def _axes(figure: Figure, down: int, across: int) -> Iterator[Any]:
    yield from np.ravel(figure.subplots(down, across, squeeze=False))
