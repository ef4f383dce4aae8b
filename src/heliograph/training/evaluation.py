"""How good a classifier is, from its logits alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """``confusion[i, j]``: how many pictures of label i were taken for label j."""

    confusion: npt.NDArray[np.int64]
    confidence: float
    """The mean probability of the label answered; near the accuracy where probabilities can be believed."""

    @property
    def count(self) -> int:
        """How many pictures were judged."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share that was right, 0 to 1."""
        return float(np.trace(self.confusion) / self.count)

    @property
    def recalls(self) -> tuple[float, ...]:
        """Of each label's pictures, the share that was right; NaN for a label without pictures."""
        totals = self.confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return tuple((np.diag(self.confusion) / totals).tolist())

    def table(self, labels: Sequence[str]) -> str:
        """Rows of a Markdown table: label, recall, what it was taken for most often."""
        rows = []
        for index, (label, recall) in enumerate(zip(labels, self.recalls, strict=True)):
            others = self.confusion[index].copy()
            others[index] = 0
            mistaken = f"{labels[int(others.argmax())]} ({others.max()})" if others.any() else ""
            rows.append(f"| {label} | {recall:.1%} | {mistaken} |")
        return "\n".join(rows)


def evaluate(logits: Float32Array, labels: npt.NDArray[np.integer]) -> Evaluation:
    """What the logits (n, classes) are worth, given the true labels (n,)."""
    classes = logits.shape[1]
    answers = logits.argmax(axis=1)
    confusion = np.bincount(labels.astype(np.intp) * classes + answers, minlength=classes**2)
    confidence = np.exp(log_probabilities(logits)).max(axis=1).mean()
    return Evaluation(confusion.reshape(classes, classes), float(confidence))


def log_probabilities(logits: Float32Array) -> Float32Array:
    """The logarithm of the softmax of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def best_temperature(logits: Float32Array, labels: npt.NDArray[np.integer]) -> float:
    """What the logits should be divided by for the probabilities to be most believable."""
    temperatures = np.arange(0.2, 2.01, 0.02)
    rows = np.arange(len(labels))
    surprise = [-log_probabilities(logits / np.float32(t))[rows, labels].mean() for t in temperatures]
    return round(float(temperatures[int(np.argmin(surprise))]), 2)
