"""The model package of a network that was trained: half-precision weights, ``model.toml``, card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from heliograph.core.pictures import Float32Array
from heliograph.training import encoder, exporting, packages
from heliograph.training.background_removal import network
from heliograph.training.background_removal.evaluate import Judgement
from heliograph.training.background_removal.train import Recipe

NAME = "silhouette"
WEIGHTS = "silhouette_fp16w.onnx"
TEMPLATES = Path(__file__).parent / "templates"
MOST_DIFFERENT = 0.1
"""What rounding the weights to half precision may change the matte by at a place on an edge.

The network's own answer is rounded too where a GPU computes it: it multiplies with ten bits.
"""
DIFFERENT_ON_AVERAGE = 0.001
ORIGINS: Mapping[str, str] = {
    "clothing": "single garments, clothing-dataset-small (CC0)",
    "caltech": "at most 40 of each class of Caltech-101 (CC BY 4.0; F.-F. Li, M. Andreeto, M. A. Ranzato, P. Perona)",
    "people": "street fashion with masks, Clothing Co-Parsing (Apache-2.0)",
    "groceries": "packages held in a hand, Grocery Store Dataset (MIT)",
}
"""Of the photographs that the shipped weights were trained on, by folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the card says of how the weights came about."""

    sources: Mapping[str, int]
    """How many photographs of which folder were learned from."""
    by_hand: int
    """How many of them have masks that people made."""
    side: int
    """Of the pictures that the network takes, in pixels."""
    begins_with: str
    """Whose weights the first step started from, see `Beginning`."""
    teachers: tuple[str, ...]
    recipe: Recipe
    minutes: float


def export(model: keras.Model, path: Path, *, probes: Float32Array) -> None:
    """Writes the network's finest matte: ``pictures`` (n, 3, side, side) in, (n, 1, side, side) from 0 to 1 out.

    Args:
        model: a trained network, of `network.build` or `beginning.folded`.
        path: the file, with weights in half precision that are computed with in single precision.
        probes: (n, side, side, 3) pictures to prove it with, of the side that the file is for.

    Raises:
        ExportFailed: the file answers something else than the network.
        ModelInvalid: the network has a layer that cannot be written.
    """
    answering = network.answering(model, probes.shape[1])
    data = exporting.halved(exporting.converted(answering, metadata={"licence": "Apache-2.0"}))
    (found,) = exporting.runner(data)(probes)
    wanted = answering.predict(probes, verbose=0).transpose(0, 3, 1, 2)
    difference = np.abs(found - wanted)
    if not (difference.max() <= MOST_DIFFERENT and difference.mean() <= DIFFERENT_ON_AVERAGE):
        raise exporting.ExportFailed(
            f"The file's mattes differ from the network's by {difference.max():.2g} at most, "
            f"{difference.mean():.2g} on average."
        )
    path.write_bytes(data)


def write(
    folder: Path, facts: Facts, judgement: Judgement | None, *, compared: Mapping[str, Judgement]
) -> None:
    """Completes the package in ``folder``, which holds the weights already.

    Args:
        folder: where the weights are.
        facts: how it was trained.
        judgement: of the package on pictures with masks, None where there are none.
        compared: of other models on the same pictures, by name.
    """
    recipe = facts.recipe
    names = sorted(facts.sources, key=lambda name: -facts.sources[name])
    values = {
        "mean": encoder.MEAN,
        "std": encoder.STD,
        "side": facts.side,
        "begins_with": facts.begins_with,
        "megabytes": f"{(folder / WEIGHTS).stat().st_size / 1e6:.1f}",
        "total": f"{sum(facts.sources.values()):,}",
        "sources": ", ".join(f"{facts.sources[name]:,} {name}" for name in names),
        "origins": "\n".join(f"- {name}: {ORIGINS.get(name, 'a folder of that name')}" for name in names),
        "labelled": _labelled(facts),
        "epochs": recipe.epochs,
        "batch": recipe.batch,
        "sides": ", then ".join(map(str, recipe.sides)),
        "edge_weight": f"{recipe.edge_weight:g}",
        "averaged": " and ".join(f"{share:.0%}" for share in recipe.averaged_after),
        "frozen": f"the encoder's first {recipe.frozen_blocks} blocks as they were at the beginning, "
        if recipe.frozen_blocks
        else "",
        "seed": recipe.seed,
        "minutes": round(facts.minutes),
        "judged": f"Judged on {judgement.data}, none of which was trained on." if judgement else "",
        "accuracy": _accuracy(judgement) if judgement else "",
        "table": _table({NAME: judgement, **compared}) if judgement else "Not measured.",
    }
    packages.describe(folder, TEMPLATES, values, weights=WEIGHTS)


def _labelled(facts: Facts) -> str:
    """Who made the masks and labels."""
    if facts.by_hand == sum(facts.sources.values()):
        return "People made the masks of all."
    teachers = " and ".join(facts.teachers)
    return f"People made the masks of {facts.by_hand:,}; the others are labelled by {teachers}."


def _accuracy(judgement: Judgement) -> str:
    score, data = judgement.mean, judgement.data
    rows = [
        ("mean IoU at 0.5", score.iou),
        ("boundary F-measure, 3 pixels", score.boundary_f),
        ("MAE", score.mae),
    ]
    return "\n\n".join(
        f'[[accuracy]]\nmetric = "{metric}"\nvalue = {value:.3f}\ndata = "{data}"' for metric, value in rows
    )


def _table(judgements: Mapping[str, Judgement]) -> str:
    lines = [
        "| model | mean IoU | boundary F-measure | MAE | milliseconds a picture |",
        "|---|---|---|---|---|",
    ]
    for name, judgement in judgements.items():
        score = judgement.mean
        lines.append(
            f"| {name} | {score.iou:.3f} | {score.boundary_f:.3f} | {score.mae:.3f} | {judgement.milliseconds:.0f} |"
        )
    return "\n".join(lines)
