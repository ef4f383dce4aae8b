"""The model package of a classifier of one's own: ``model.toml``, labels, card, confusion matrix."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heliograph.training import packages
from heliograph.training.classes.folders import Collection
from heliograph.training.classes.views import INPUT
from heliograph.training.evaluation import Evaluation

if TYPE_CHECKING:
    from heliograph.training.classes.train import Recipe

WEIGHTS = "weights.onnx"
TEMPLATES = Path(__file__).parent / "templates"
TRAINED = "`heliograph train --data "
"""What the cards of these packages say, and no other's."""
NAMED_CLASSES = 20
FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the card says of how the weights came about."""

    name: str
    version: str
    data: str
    licence: str
    recipe: Recipe
    minutes: float
    head_accuracy: float


def write(
    folder: Path, facts: Facts, collection: Collection, evaluation: Evaluation, confusion: Path
) -> None:
    """Completes the package in ``folder``, which holds the weights; ``confusion`` is the picture of the matrix."""
    shutil.copyfile(confusion, folder / "confusion.png")
    few = [label for label, count in zip(collection.labels, collection.counts(), strict=True) if count < FEW]
    low, high = evaluation.interval
    licence = facts.licence or "not stated; EfficientNet-Lite0, which it starts from, is Apache-2.0"
    split = "the folder's own split" if collection.given_split else "a fifth of each class"
    values = {
        **_input(),
        "name": facts.name,
        "version": facts.version,
        "title": packages.quoted(facts.name),
        "description": packages.quoted(
            f"One of {len(collection.labels)} classes: {_listed(collection.labels)}."
        ),
        "licence": packages.quoted(licence),
        "licence_text": _cell(licence),
        "weights": WEIGHTS,
        "accuracy": round(evaluation.accuracy, 4),
        "judged_on": packages.quoted(f"{evaluation.total} held-out pictures of {facts.data} ({split})"),
        "accuracy_percent": f"{evaluation.accuracy:.1%}",
        "interval": f"{low:.0%} to {high:.0%}",
        "recall_percent": f"{np.nanmean(evaluation.recalls):.1%}",
        "confidence_percent": f"{evaluation.confidence:.1%}",
        "head_percent": f"{facts.head_accuracy:.1%}",
        "held_out": f"{evaluation.total:,}",
        "trained": f"{len(collection.training):,}",
        "split": split,
        "class_count": len(collection.labels),
        "class_list": _listed(collection.labels),
        "few": f"Fewer than {FEW} pictures to learn from: {_listed(few)}.\n" if few else "",
        "recall_rows": "\n".join(
            f"| {_cell(label)} | {count} | {right} | {mistaken} |"
            for (label, right, mistaken), count in zip(
                evaluation.rows([_cell(label) for label in collection.labels]),
                collection.counts(),
                strict=True,
            )
        ),
        "size_megabytes": f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f}",
        "skipped": len(collection.skipped),
        "data": facts.data,
        "epochs": facts.recipe.epochs,
        "views": facts.recipe.views,
        "seed": facts.recipe.seed,
        "minutes": f"{facts.minutes:.1f}",
    }
    packages.describe(folder, TEMPLATES, values, weights=WEIGHTS, labels=collection.labels)


def _input() -> dict[str, object]:
    """The table ``input`` of ``model.toml``, so that serving prepares pictures as training did."""
    return {
        "width": INPUT.width,
        "height": INPUT.height,
        "fit": INPUT.fit.value,
        "crop": INPUT.crop,
        "interpolation": INPUT.interpolation.value,
        "mean": list(INPUT.mean),
        "std": list(INPUT.std),
    }


def _listed(labels: list[str] | tuple[str, ...]) -> str:
    more = len(labels) - NAMED_CLASSES
    return ", ".join(labels[:NAMED_CLASSES]) + (f" and {more} more" if more > 0 else "")


def _cell(text: str) -> str:
    """``text`` in a cell of a table."""
    return text.replace("|", "\\|")
