"""The steps of a training in their order: features, last layer, upper blocks, export, judgement, package."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from heliograph.training import charts, encoder, exporting, packages
from heliograph.training.classes import features, folders, network, package, train
from heliograph.training.classes.making import Made, Order
from heliograph.training.classes.views import Viewer
from heliograph.training.evaluation import Evaluation, evaluate
from heliograph.training.progress import metered
from heliograph.training.runs import Run, opened

PROBES = 32
SAMPLES = 6_000
FEWEST_EPOCHS, MOST_EPOCHS = 2, 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What every step of the training has in its hands."""

    order: Order
    viewer: Viewer
    collection: folders.Collection
    recipe: train.Recipe
    network: network.Network
    run: Run


def carry_out(order: Order, collection: folders.Collection, viewer: Viewer) -> Made:
    """The model that is asked for, in the store; errors as `heliograph.training.classes.making.make`."""
    started = time.monotonic()
    recipe = recipe_for(order, pictures=len(collection.training))
    facts = {
        "pictures": len(collection.training),
        "classes": len(collection.labels),
        "sha256": collection.digest,
    }
    training = f"classes of {order.name}"
    with opened(order.out, training=training, recipe=recipe, data=facts, afresh=order.afresh) as run:
        lines = "".join(f"{line}\n" for line in collection.skipped)
        (run.folder / "skipped.txt").write_text(lines, encoding="utf-8")
        state = encoder.imagenet_state(order.encoder)
        net = network.build(len(collection.labels), state, dropout=recipe.dropout)
        work = _Work(
            order=order, viewer=viewer, collection=collection, recipe=recipe, network=net, run=run
        )  # fmt: skip
        seen, held_out = _seen(work)
        head_accuracy = _trained(work, seen, held_out)
        made = _packaged(work, head_accuracy, started)
        judged = made.evaluation
        run.finish(
            {"accuracy": judged.accuracy, "held_out": judged.total, "package": str(made.package)}
        )  # fmt: skip
    return made


def recipe_for(order: Order, *, pictures: int) -> train.Recipe:
    """How long to train: about 6,000 views of pictures for the upper blocks, unless the order says."""
    epochs = order.epochs
    if epochs is None:
        epochs = int(np.clip(SAMPLES // max(1, pictures), FEWEST_EPOCHS, MOST_EPOCHS))
    return train.Recipe(epochs=epochs, views=features.affordable(pictures), seed=order.seed)


def _seen(work: _Work) -> tuple[features.Seen, features.Seen]:
    """What the untrained encoder sees of the pictures to train on, and of those held out."""
    see = exporting.runner(exporting.converted(work.network.eye))
    parts = (
        ("features", work.collection.training, work.recipe.views),
        ("features of those held out", work.collection.held_out, 1),
    )
    found = []
    for what, examples, views in parts:
        folder = work.run.folder / what.replace(" ", "-")
        chosen = features.Views(views, work.recipe.seed)
        with metered(what, len(examples)) as meter:
            found.append(features.kept(folder, examples, chosen, see, work.viewer, progress=meter.at))
    return found[0], found[1]


def _trained(work: _Work, seen: features.Seen, held_out: features.Seen) -> float:
    """Trains the network; the accuracy that the last layer alone had."""
    net, recipe = work.network, work.recipe
    with metered("training", max(1, recipe.epochs)) as meter:
        train.train_head(net, seen, recipe)
        loss, head_accuracy = train.judge(train.logits_of(net.upper, held_out), held_out.labels)
        meter.say(f"the last layer alone: loss {loss:.3f}, {head_accuracy:.1%} right of those held out")

        def report(epoch: train.Epoch) -> None:
            values = asdict(epoch)
            work.run.record(values.pop("number"), **values)
            meter.at(epoch.number)
            meter.say(
                f"epoch {epoch.number} of {recipe.epochs}: loss {epoch.loss:.3f}, held out "
                f"{epoch.held_out_loss:.3f}, {epoch.held_out_accuracy:.1%} right, {epoch.seconds:.0f} s"
            )

        train.fine_tune(net, seen, held_out, recipe, work.run, report=report)
    return head_accuracy


def _packaged(work: _Work, head_accuracy: float, started: float) -> Made:
    order, recipe, collection, run = work.order, work.recipe, work.collection, work.run
    before = packages.installed(order.store, order.name)
    version = str(int(before.version) + 1) if before and before.version.isdecimal() else "1"
    confusion, curves = run.folder / "confusion.png", run.folder / "curves.png"
    with packages.placed(order.store, order.name) as folder:
        weights = folder / package.WEIGHTS
        probes = np.stack([work.viewer.plain(example.read()) for example in collection.held_out[:PROBES]])
        exporting.export(work.network.whole, weights, probes=probes)
        evaluation = _judged(weights, collection, work.viewer)
        charts.draw_confusion(evaluation.counts, collection.labels, confusion)
        minutes = (time.monotonic() - started) / 60
        facts = package.Facts(
            name=order.name, version=version, data=order.data.resolve().name, licence=order.licence,
            recipe=recipe, minutes=minutes, head_accuracy=head_accuracy,
        )  # fmt: skip
        package.write(folder, facts, collection, evaluation, confusion)
    if recipe.epochs:
        panels = {"cross-entropy": ["loss", "held_out_loss"], "share that is right": ["held_out_accuracy"]}
        charts.draw_curves(run.history(), panels, curves)
    return Made(
        package=order.store / order.name, version=version, evaluation=evaluation, confusion=confusion,
        curves=curves if recipe.epochs else None, minutes=minutes,
    )  # fmt: skip


def _judged(weights: Path, collection: folders.Collection, viewer: Viewer) -> Evaluation:
    """What the exported file is worth on the held-out pictures, prepared as serving does."""
    run, labels = exporting.runner(weights), np.array([example.label for example in collection.held_out])
    logits = []
    with metered("judging the model", len(labels)) as meter:
        for number, example in enumerate(collection.held_out, 1):
            logits += run(viewer.plain(example.read())[None])
            meter.at(number)
    return evaluate(np.concatenate(logits), labels)
