"""How good answers are: labels beside true ones, an alpha beside a mask that people made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOUNDARY_PIXELS = 3
"""How far a boundary may be from the true one and count as found."""


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """``counts[i, j]``: how many pictures of label i were taken for label j."""

    counts: npt.NDArray[np.int64]

    def add(self, truth: int, answer: int) -> None:
        """Counts one answer."""
        self.counts[truth, answer] += 1

    @property
    def total(self) -> int:
        """How many pictures were answered."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there are none."""
        return float(np.trace(self.counts)) / max(1, self.total)

    @property
    def recalls(self) -> tuple[float, ...]:
        """Of each label's pictures, the share that was right; NaN for a label without pictures."""
        return self._shares(self.counts.sum(axis=1))

    @property
    def precisions(self) -> tuple[float, ...]:
        """Of each label's answers, the share that was right; NaN for a label that was never answered."""
        return self._shares(self.counts.sum(axis=0))

    def mistaken(self, index: int, labels: Sequence[str]) -> str:
        """What pictures of a label were taken for most often, and how often; empty where all were right."""
        others = self.counts[index].copy()
        others[index] = 0
        return f"{labels[int(others.argmax())]} ({others.max()})" if others.any() else ""

    def _shares(self, of: npt.NDArray[np.int64]) -> tuple[float, ...]:
        with np.errstate(invalid="ignore"):
            return tuple((np.diag(self.counts) / of).tolist())


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
