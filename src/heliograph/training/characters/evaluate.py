"""How good a network is, from its logits alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.core.pictures import Float32Array, UInt8Array
from heliograph.training.characters import augmentation
from heliograph.training.characters.data import LABELS, Characters

CHARACTER_FONTS = [
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "TakaoGothic",
    "Hiragino Sans",
    "Yu Gothic",
]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """``confusion[i, j]``: how many characters of label i were taken for label j."""

    confusion: npt.NDArray[np.int64]
    confidence: float
    """The mean probability of the label answered; near the accuracy where probabilities can be believed."""

    @property
    def accuracy(self) -> float:
        """The share that was right, 0 to 1."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recalls(self) -> tuple[float, ...]:
        """Of each label's characters, the share that was right."""
        return tuple((np.diag(self.confusion) / self.confusion.sum(axis=1)).tolist())


def evaluate(logits: Float32Array, labels: UInt8Array) -> Evaluation:
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


def best_temperature(logits: Float32Array, labels: UInt8Array) -> float:
    """What the logits should be divided by for the probabilities to be most believable."""
    temperatures = np.arange(0.2, 2.01, 0.02)
    rows = np.arange(len(labels))
    surprise = [-log_probabilities(logits / np.float32(t))[rows, labels].mean() for t in temperatures]
    return round(float(temperatures[int(np.argmin(surprise))]), 2)


def displaced(characters: Characters, *, scale: float, down: float, right: float) -> Characters:
    """The characters as somebody might draw them: smaller (``scale`` < 1), and moved by so many pixels."""
    pictures = characters.pictures.astype(np.float32)
    middle = (pictures.shape[1] - 1) / 2
    places = np.indices(pictures.shape, dtype=np.float32)[1:]
    rows = (places[0] - middle - down) / scale + middle
    columns = (places[1] - middle - right) / scale + middle
    moved = augmentation.sample(pictures, rows, columns)
    return Characters(np.rint(moved).astype(np.uint8), characters.labels)


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Writes the confusion matrix as a picture; needs matplotlib."""
    from matplotlib import pyplot, rcParams

    rcParams["font.family"] = _fonts_here() or rcParams["font.family"]
    names = LABELS if _fonts_here() else tuple(str(index) for index in range(len(LABELS)))
    figure, axes = pyplot.subplots(figsize=(6, 6), layout="constrained")
    axes.imshow(evaluation.confusion, cmap="Blues", norm="symlog")
    for (row, column), count in np.ndenumerate(evaluation.confusion):
        shade = "white" if row == column else "black"
        axes.text(column, row, str(count) if count else "", ha="center", va="center", color=shade)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="answer", ylabel="character", title=f"{evaluation.accuracy:.1%} right")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def draw_curve(losses: Sequence[float], path: Path) -> None:
    """Writes the training's loss by epoch as a picture; needs matplotlib."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(range(1, len(losses) + 1), losses)
    axes.set(xlabel="epoch", ylabel="loss on augmented pictures")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _fonts_here() -> list[str]:
    from matplotlib import font_manager

    here = set(font_manager.get_font_names())
    return [font for font in CHARACTER_FONTS if font in here]
