"""How good a classifier is, from its logits alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import Float32Array
from heliograph.core.scores import Confusion


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation(Confusion):
    """How often which label was taken for which, and how sure the answers were."""

    confidence: float
    """The mean probability of the label answered; near the accuracy where probabilities can be believed."""

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares the accuracy on more such pictures lies, with 95 % certainty (Wilson's)."""
        n, z = self.total, 1.96
        middle = (self.accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(self.accuracy * (1 - self.accuracy) / n + (z / (2 * n)) ** 2)
        return middle - half, middle + half

    def rows(self, labels: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """For each label: its name, the share that was right, and what it was taken for most often."""
        for index, (label, recall) in enumerate(zip(labels, self.recalls, strict=True)):
            yield label, "" if math.isnan(recall) else f"{recall:.1%}", self.mistaken(index, labels)


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
