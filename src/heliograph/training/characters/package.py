"""The model package (weights, ``model.toml``, labels, card) of a network that was exported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from heliograph.training.characters.data import LABELS, MEAN, STD
from heliograph.training.characters.evaluate import Evaluation

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
    weights = (folder / WEIGHTS).read_bytes()
    held_out = int(evaluation.confusion.sum())
    values = {
        "mean": MEAN,
        "std": STD,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "size_bytes": len(weights),
        "size_kilobytes": round(len(weights) / 1000),
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
        "recall_rows": "\n".join(_recall_rows(evaluation)),
        "displaced_rows": "\n".join(f"| {what} | {it.accuracy:.1%} |" for what, it in displaced.items()),
    }
    for name in ("model.toml", "README.md"):
        template = Template((TEMPLATES / name).read_text(encoding="utf-8"))
        (folder / name).write_text(template.substitute(values), encoding="utf-8", newline="\n")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8", newline="\n")


def _recall_rows(evaluation: Evaluation) -> list[str]:
    rows = []
    for index, (label, recall) in enumerate(zip(LABELS, evaluation.recalls, strict=True)):
        others = evaluation.confusion[index].copy()
        others[index] = 0
        mistaken = f"{LABELS[int(others.argmax())]} ({others.max()})" if others.any() else ""
        rows.append(f"| {label} | {recall:.1%} | {mistaken} |")
    return rows
