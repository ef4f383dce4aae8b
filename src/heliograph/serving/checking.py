"""How good a model is on pictures whose answers are known: right and mistaken labels, or mattes beside masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core import errors
from heliograph.core.pictures import Float32Array

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class LabelCheck:
    """Answers of a classifier so far: ``counts`` has a row for each true label, a column for each answer.

    ``refused`` are pictures that could not be asked, and why.
    """

    labels: tuple[str, ...]
    counts: Counts = field(init=False)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.labels), len(self.labels)), np.int64)

    def add(self, truth: int, answer: str) -> None:
        """Counts one answer."""
        self.counts[truth, self.labels.index(answer)] += 1

    @property
    def total(self) -> int:
        """How many pictures were answered."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there are none."""
        return float(np.trace(self.counts)) / max(1, self.total)

    def rows(self) -> list[tuple[str, int, float, float, str]]:
        """Of each label that occurs: pictures, recall, precision, and the label that it is most taken for."""
        found = []
        for index, label in enumerate(self.labels):
            truths, answers = int(self.counts[index].sum()), int(self.counts[:, index].sum())
            if truths == 0:
                continue
            right = int(self.counts[index, index])
            others = self.counts[index].copy()
            others[index] = 0
            mistaken = f"{self.labels[int(others.argmax())]} ({others.max()})" if others.any() else ""
            found.append((label, truths, right / truths, right / max(1, answers), mistaken))
        return found

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "pictures": self.total,
            "accuracy": self.accuracy,
            "labels": [
                {"label": label, "pictures": count, "recall": recall, "precision": precision}
                for label, count, recall, precision, _ in self.rows()
            ],
            "confusion": self.counts.tolist(),
            "refused": [{"name": name, "problem": problem} for name, problem in self.refused],
        }


@dataclass(slots=True, eq=False)
class MatteCheck:
    """Answers of a background remover so far: of each picture its name, IoU and mean absolute error."""

    scores: list[tuple[str, float, float]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, matte: Float32Array, mask: Float32Array) -> None:
        """Counts one answer; both are (height, width) from 0 to 1.

        Raises:
            PictureBroken: the mask has another size.
        """
        if matte.shape != mask.shape:
            raise errors.PictureBroken(
                f"Its mask is {mask.shape[1]} × {mask.shape[0]}, the picture {matte.shape[1]} × {matte.shape[0]}."
            )
        answer, truth = matte >= 0.5, mask >= 0.5
        union = int(np.logical_or(answer, truth).sum())
        overlap = int(np.logical_and(answer, truth).sum()) / union if union else 1.0
        self.scores.append((name, overlap, float(np.abs(matte - mask).mean())))

    @property
    def mean_iou(self) -> float:
        """Mean over pictures of what both have, by what either has, at a threshold of one half."""
        return _mean([iou for _, iou, _ in self.scores])

    @property
    def mean_error(self) -> float:
        """Mean absolute difference of matte and mask, from 0 to 1."""
        return _mean([error for _, _, error in self.scores])

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "pictures": len(self.scores),
            "mean_iou": self.mean_iou,
            "mae": self.mean_error,
            "scores": [{"name": name, "iou": iou, "mae": error} for name, iou, error in self.scores],
            "refused": [{"name": name, "problem": problem} for name, problem in self.refused],
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
