"""A background remover judged by pictures with masks that people made, on the way that a request takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from heliograph.adapters.imaging.masks import WANTED, masked
from heliograph.adapters.imaging.scoring import score
from heliograph.core.pictures import UInt8Array
from heliograph.core.predictions import CutoutOptions, CutoutOutput
from heliograph.core.scores import MatteScore, mean_score
from heliograph.serving.direct import DirectModel
from heliograph.training.background_removal.photographs import ENDINGS, read_picture
from heliograph.training.charts import draw_sheet
from heliograph.training.runs import TrainingRefused

WORST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One picture: its files, and what came out."""

    picture: Path
    mask: Path
    score: MatteScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A background remover's results on a folder of pictures."""

    pictures: Sequence[Judged]
    milliseconds: float
    """Of the median picture from file to mask, on one core."""

    @property
    def data(self) -> str:
        """What was judged by, in words."""
        folder = self.pictures[0].picture.parent.name.upper()
        return f"{len(self.pictures)} pictures of {folder} with masks made by people"

    @property
    def mean(self) -> MatteScore:
        """Over all pictures."""
        return mean_score([judged.score for judged in self.pictures])

    @property
    def worst(self) -> list[Judged]:
        """The ten with the least intersection over union, the worst first."""
        return sorted(self.pictures, key=lambda judged: judged.score.iou)[:WORST]


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """The pictures in a folder that have a mask, see `masked`.

    Raises:
        OSError: the folder cannot be read.
        TrainingRefused: there is none.
    """
    found = masked(folder, ENDINGS)
    if not found:
        raise TrainingRefused(f"{folder} has no picture with a mask: {WANTED}.")
    return found


def judge(model: DirectModel, files: Sequence[tuple[Path, Path]]) -> Judgement:
    """The score of each picture, as a request for its mask would be answered.

    Raises:
        PictureError: a picture cannot be answered.
        OSError: a file cannot be read.
        ValueError: a mask has not the shape of its picture.
    """
    judged, seconds = [], []
    for picture, mask in files:
        data, wanted = picture.read_bytes(), read_grey(mask)
        started = time.thread_time()
        alpha = opacity(model, data)
        seconds.append(time.thread_time() - started)
        judged.append(Judged(picture=picture, mask=mask, score=score(alpha, wanted)))
    return Judgement(pictures=judged, milliseconds=1000 * float(np.median(seconds)))


def opacity(model: DirectModel, data: bytes) -> UInt8Array:
    """The alpha (height, width) that the model answers for a picture file."""
    answer = model.cut_out(data, CutoutOptions(output=CutoutOutput.MASK))
    return np.asarray(cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def read_grey(path: Path) -> UInt8Array:
    """The levels (height, width) of a picture file. Raises `OSError` if it cannot be read."""
    levels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if levels is None:
        raise OSError(f"{path} is not a picture that can be read.")
    return np.asarray(levels, np.uint8)


def draw_worst(model: DirectModel, judgement: Judgement, path: Path) -> None:
    """Writes a contact sheet: the worst pictures, the alpha of each, and its mask."""
    tiles = [
        (
            [
                read_picture(judged.picture),
                opacity(model, judged.picture.read_bytes()),
                read_grey(judged.mask),
            ],
            f"{judged.picture.stem}: IoU {judged.score.iou:.2f}, boundary F {judged.score.boundary_f:.2f}",
        )
        for judged in judgement.worst
    ]
    draw_sheet(tiles, path)
