"""From a folder of pictures to a model in the store; what can be refused is, before training libraries are loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from heliograph.adapters.models.catalogue import shipped_folder
from heliograph.core import errors
from heliograph.core.models import ModelSpec, check_name
from heliograph.core.pictures import PictureLimits
from heliograph.training import packages
from heliograph.training.classes import folders, package
from heliograph.training.classes.views import Viewer
from heliograph.training.evaluation import Evaluation
from heliograph.training.progress import metered
from heliograph.training.runs import TrainingRefused

SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted.

    ``epochs`` None leaves it to the number of pictures; 0 trains the last layer alone. ``encoder`` is the
    classifier whose weights are started from. ``replace`` allows for a model of this name that was not
    trained so.
    """

    data: Path
    name: str
    out: Path
    store: Path
    encoder: ModelSpec
    limits: PictureLimits
    licence: str = ""
    epochs: int | None = None
    seed: int = 1
    afresh: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The model, what it is worth, and where the pictures of that are."""

    package: Path
    version: str
    evaluation: Evaluation
    confusion: Path
    curves: Path | None
    minutes: float


def make(order: Order) -> Made:
    """Trains, exports, judges, and puts the package into the store.

    Raises:
        TrainingRefused: the folder, the name, the store or the run's folder cannot be used.
        ModelUnavailable: the weights to start from cannot be had.
    """
    _check_free(order)
    viewer = Viewer(order.limits)
    collection = _looked_through(order.data, viewer)
    from heliograph.training.classes.steps import carry_out

    return carry_out(order, collection, viewer)


def _check_free(order: Order) -> None:
    name = order.name
    try:
        check_name(name)
    except errors.ModelUnknown as error:
        raise TrainingRefused(
            f"{errors.excerpt(name)!r} cannot name a model: a-z and 0-9, dots and hyphens inside, 64 at most."
        ) from error
    if (shipped_folder() / name).exists():
        raise TrainingRefused(f"{name} is a model that ships with Heliograph: choose another name.")
    if not order.replace and os.path.lexists(order.store / name):
        spec = packages.installed(order.store, name)
        if spec is None or package.TRAINED not in spec.card:
            raise TrainingRefused(
                f"The store has a model {name} that `heliograph train` did not make: --replace puts the new one in "
                "its place, --name names it otherwise."
            )


def _looked_through(data: Path, viewer: Viewer) -> folders.Collection:
    with metered("looking through the pictures", 1) as meter:
        collection = folders.survey(data, viewer.look, progress=meter.of)
        for line in collection.skipped[:SHOWN]:
            meter.say(f"left out: {line}")
        if len(collection.skipped) > SHOWN:
            meter.say(f"left out: {len(collection.skipped) - SHOWN} more, all in skipped.txt")
        counts = collection.counts()
        meter.say(
            f"{len(collection.labels)} classes of {counts.min()} to {counts.max()} pictures: "
            f"{len(collection.training)} to train on, {len(collection.held_out)} held out"
        )
    return collection
