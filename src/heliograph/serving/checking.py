"""How good a model is on pictures whose answers are known: right and mistaken labels, or mattes beside masks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from heliograph.core.scores import MatteScore, mean_score

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class LabelCheck:
    """Answers of a classifier so far: ``counts`` has a row for each true label, a column for each answer.

    A label that the model has twice counts as one, the first.
    ``refused`` are pictures that could not be asked, and why.
    """

    labels: tuple[str, ...]
    counts: Counts = field(init=False)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.labels), len(self.labels)), np.int64)

    def add(self, truth: int, answer: str) -> None:
        """Counts one answer."""
        self.counts[self.labels.index(self.labels[truth]), self.labels.index(answer)] += 1

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
    """Answers of a background remover so far: the name of each picture, and how well its alpha fits its mask."""

    scores: list[tuple[str, MatteScore]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def mean(self) -> MatteScore:
        """The means over pictures."""
        return mean_score([score for _, score in self.scores])

    def worst(self, count: int) -> list[tuple[str, MatteScore]]:
        """The pictures with the least intersection over union, the worst first."""
        return sorted(self.scores, key=lambda named: named[1].iou)[:count]

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        mean = self.mean
        return {
            "pictures": len(self.scores),
            "mean_iou": mean.iou,
            "mae": mean.mae,
            "boundary_f": mean.boundary_f,
            "scores": [{"name": name, **asdict(score)} for name, score in self.scores],
            "refused": [{"name": name, "problem": problem} for name, problem in self.refused],
        }
