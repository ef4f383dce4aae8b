"""How good a model is on pictures whose answers are known: right and mistaken labels, or mattes beside masks."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from heliograph.core.scores import Confusion, MatteScore, mean_score


@dataclass(slots=True, eq=False)
class LabelCheck:
    """Answers of a classifier so far.

    A label that the model has twice counts as one, the first.
    ``refused`` are pictures that could not be asked, and why.
    """

    labels: tuple[str, ...]
    confusion: Confusion = field(init=False)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confusion = Confusion(np.zeros((len(self.labels), len(self.labels)), np.int64))

    def add(self, truth: int, answer: str) -> None:
        """Counts one answer."""
        self.confusion.add(self.labels.index(self.labels[truth]), self.labels.index(answer))

    def rows(self) -> list[tuple[str, int, float, float, str]]:
        """Of each label that occurs: pictures, recall, precision, and the label that it is most taken for."""
        found = self.confusion
        totals = found.counts.sum(axis=1).tolist()
        every = zip(self.labels, totals, found.recalls, found.precisions, strict=True)
        return [
            (
                label,
                total,
                recall,
                0.0 if math.isnan(precision) else precision,
                found.mistaken(index, self.labels),
            )
            for index, (label, total, recall, precision) in enumerate(every)
            if total
        ]

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "pictures": self.confusion.total,
            "accuracy": self.confusion.accuracy,
            "labels": [
                {"label": label, "pictures": count, "recall": recall, "precision": precision}
                for label, count, recall, precision, _ in self.rows()
            ],
            "confusion": self.confusion.counts.tolist(),
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
