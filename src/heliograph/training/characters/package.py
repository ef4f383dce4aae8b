"""The model package (weights, ``model.toml``, labels, card) of a network that was exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heliograph.training import packages
from heliograph.training.characters.data import LABELS, MEAN, STD
from heliograph.training.evaluation import Evaluation

WEIGHTS = "kmnist.onnx"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the card says of how the weights came about."""

    trained: int
    epochs: int
    seed: int
    minutes: float
    parameters: int


def write(
    folder: Path, training: Training, evaluation: Evaluation, *, displaced: Mapping[str, Evaluation]
) -> None:
    """Completes the package in ``folder``, which holds the weights already.

    Args:
        folder: where ``kmnist.onnx`` is.
        training: how it was trained.
        evaluation: of the file, on the characters held out.
        displaced: likewise on the same characters smaller or moved, by a description of that.
    """
    held_out = evaluation.total
    values = {
        "mean": MEAN,
        "std": STD,
        "size_kilobytes": round((folder / WEIGHTS).stat().st_size / 1000),
        "accuracy": round(evaluation.accuracy, 4),
        "accuracy_percent": f"{evaluation.accuracy:.1%}",
        "confidence_percent": f"{evaluation.confidence:.1%}",
        "held_out": f"{held_out:,}",
        "trained": f"{training.trained:,}",
        "total": f"{training.trained + held_out:,}",
        "parameters": f"{training.parameters:,}",
        "epochs": training.epochs,
        "minutes": round(training.minutes),
        "seed": training.seed,
        "recall_rows": "\n".join(f"| {' | '.join(row)} |" for row in evaluation.rows(LABELS)),
        "displaced_rows": "\n".join(f"| {what} | {it.accuracy:.1%} |" for what, it in displaced.items()),
    }
    packages.describe(folder, TEMPLATES, values, weights=WEIGHTS, labels=LABELS)
