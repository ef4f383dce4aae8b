"""How well an alpha fits a mask that people made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BOUNDARY_PIXELS = 3
"""How far a boundary may be from the true one and count as found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatteScore:
    """Of one picture, or the means of many; each from 0 to 1."""

    iou: float
    """Intersection over union of what is at least half opaque."""
    mae: float
    """Mean absolute error of the alpha: less is better."""
    boundary_f: float
    """F-measure of the boundary, found where it is at most `BOUNDARY_PIXELS` away."""


def mean_score(scores: Sequence[MatteScore]) -> MatteScore:
    """The means of scores; zeros if there are none."""
    count = max(1, len(scores))
    return MatteScore(
        iou=sum(score.iou for score in scores) / count,
        mae=sum(score.mae for score in scores) / count,
        boundary_f=sum(score.boundary_f for score in scores) / count,
    )
