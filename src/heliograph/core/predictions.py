"""Answers, and where their time went."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from heliograph.core.models import Meaning
from heliograph.core.pictures import Float32Array


@dataclass(frozen=True, slots=True)
class Label:
    """One class and how likely it is, from 0 to 1."""

    label: str
    probability: float


@dataclass(slots=True)
class Timings:
    """Seconds that one picture spent in each phase, and which worker of a queue did it; "" for this process.

    ``queue`` is all waiting: for a permit to decode, for the batch, for the engine.
    """

    queue: float = 0.0
    decode: float = 0.0
    infer: float = 0.0
    encode: float = 0.0
    worker: str = ""

    def milliseconds(self) -> dict[str, float]:
        """The phases in ms, rounded to a microsecond."""
        phases = {"queue": self.queue, "decode": self.decode, "infer": self.infer, "encode": self.encode}
        return {name: round(1000 * seconds, 3) for name, seconds in phases.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPicture:
    """The answer of a classification: the most likely labels, best first."""

    labels: tuple[Label, ...]
    timings: Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPicture:
    """The answer of a background removal: a picture file."""

    data: bytes
    media_type: str
    width: int
    height: int
    timings: Timings


Prediction: TypeAlias = LabelledPicture | EncodedPicture


class PictureFormat(StrEnum):
    """Formats that answers are written in."""

    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """The format's media type."""
        return f"image/{self.value}"


class CutoutOutput(StrEnum):
    """What a background removal answers."""

    CUTOUT = "cutout"
    """The picture with its background transparent, or replaced where one was given."""
    MASK = "mask"
    """The alpha matte alone, as a grey picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoutOptions:
    """How a cut-out is wanted.

    ``background`` is a colour (red, green, blue), the bytes of a picture file, or None. ``decontaminate`` gives partly
    transparent pixels the subject's own colour instead of its mixture with the old background; masks have no colours.
    """

    output: CutoutOutput = CutoutOutput.CUTOUT
    format: PictureFormat = PictureFormat.PNG
    background: tuple[int, int, int] | bytes | None = None
    decontaminate: bool = True


COLOUR_PATTERN = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII | re.IGNORECASE)


def parse_colour(text: str) -> tuple[int, int, int] | None:
    """The (red, green, blue) of ``#rrggbb`` or ``#rgb``, with or without the ``#``; None for other text."""
    match = COLOUR_PATTERN.fullmatch(text.strip())
    if match is None:
        return None
    digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def most_likely(
    scores: Float32Array, labels: tuple[str, ...], *, meaning: Meaning, top: int
) -> tuple[Label, ...]:
    """The ``top`` most likely labels of one output row, best first.

    Args:
        scores: (classes,) logits or probabilities.
        labels: one name a class.
        meaning: what ``scores`` are; logits go through a softmax.
        top: how many are wanted; at most as many as there are classes come back.
    """
    top = min(top, scores.size)
    best = np.argpartition(scores, scores.size - top)[scores.size - top :]
    best = best[np.argsort(-scores[best], kind="stable")]
    if meaning is Meaning.LOGITS:
        shifted = np.exp(scores - scores.max())
        scale = 1.0 / float(shifted.sum())
        values = shifted[best] * scale
    else:
        values = scores[best]
    return tuple(
        Label(labels[index], value if math.isfinite(value) else 0.0)
        for index, value in zip(best.tolist(), values.tolist(), strict=True)
    )
