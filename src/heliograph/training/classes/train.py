"""The training: the last layer on what the untrained encoder sees, then the upper blocks with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import keras
import numpy as np

from heliograph.core.pictures import Float32Array
from heliograph.training.classes.features import Labels, Seen
from heliograph.training.classes.network import Network
from heliograph.training.evaluation import log_probabilities
from heliograph.training.runs import Run

CHECKPOINT = "upper.weights.h5"
HEAD_BATCH = 128

Batch: TypeAlias = tuple[Float32Array, Float32Array, Float32Array]
"""Features, targets (n, classes), and how much each picture counts (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how fast to train."""

    epochs: int
    """Of the upper blocks; each shows every picture once, in one of its views. 0 trains the last layer alone."""
    views: int
    seed: int = 1
    batch: int = 32
    head_steps: int = 600
    head_rate: float = 1e-3
    peak_rate: float = 3e-4
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    dropout: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the training's curve; losses are cross-entropies."""

    number: int
    loss: float
    """On varied views, with smoothed labels."""
    held_out_loss: float
    held_out_accuracy: float
    seconds: float


def train_head(network: Network, seen: Seen, recipe: Recipe) -> None:
    """Trains the last layer on every view of the pictures."""
    _seed_dropout(network, recipe, 0)
    rng = np.random.default_rng((recipe.seed, 0))
    classes = network.whole.output_shape[-1]
    _compile(network.head, recipe, steps=recipe.head_steps, peak=recipe.head_rate)
    weights = class_weights(seen.labels, classes)
    for _ in range(recipe.head_steps):
        rows, views = rng.integers(len(seen), size=HEAD_BATCH), rng.integers(seen.views, size=HEAD_BATCH)
        labels = seen.labels[rows]
        summary = seen.summary[rows, views].astype(np.float32)
        network.head.train_on_batch(summary, _targets(labels, classes), sample_weight=weights[labels])


def fine_tune(
    network: Network, seen: Seen, held_out: Seen, recipe: Recipe, run: Run, *, report: Callable[[Epoch], None]
) -> None:
    """Trains the upper blocks and the last layer, from the run's checkpoint on where it has one.

    The held-out pictures are looked at for the curve alone; nothing is chosen by them.
    """
    classes = network.whole.output_shape[-1]
    steps = -(-len(seen) // recipe.batch)
    _compile(network.upper, recipe, steps=max(1, recipe.epochs * steps), peak=recipe.peak_rate)
    weights = class_weights(seen.labels, classes)
    checkpoint = run.checkpoint()
    if checkpoint is not None:
        network.upper.load_weights(checkpoint.folder / CHECKPOINT)
    for number in range(checkpoint.number if checkpoint else 0, recipe.epochs):
        started = time.monotonic()
        _seed_dropout(network, recipe, number + 1)
        losses = [
            float(network.upper.train_on_batch(features, targets, sample_weight=weight))
            for features, targets, weight in _batches(seen, recipe, number, weights)
        ]
        loss, accuracy = judge(logits_of(network.upper, held_out), held_out.labels)
        done = number + 1
        report(
            Epoch(
                number=done, loss=float(np.mean(losses)), held_out_loss=loss, held_out_accuracy=accuracy,
                seconds=time.monotonic() - started,
            )
        )  # fmt: skip
        run.save(
            done,
            lambda folder: network.upper.save_weights(folder / CHECKPOINT),
            every_seconds=0.0 if done == recipe.epochs else None,
        )


def logits_of(upper: keras.Model, seen: Seen) -> Float32Array:
    """(n, classes) answers to the plain view of each picture."""
    logits: Float32Array = upper.predict(seen.lower[:, 0].astype(np.float32), batch_size=32, verbose=0)
    return logits


def judge(logits: Float32Array, labels: Labels) -> tuple[float, float]:
    """The cross-entropy, and the share that is right."""
    surprise = -log_probabilities(logits)[np.arange(len(labels)), labels]
    return float(surprise.mean()), float((logits.argmax(axis=1) == labels).mean())


def class_weights(labels: Labels, classes: int) -> Float32Array:
    """How much a picture of each class counts, so that rare classes are not forgotten; 1 for equal classes."""
    counts = np.bincount(labels, minlength=classes)
    return np.clip(len(labels) / (classes * np.maximum(counts, 1)), 0.2, 5.0).astype(np.float32)


def _batches(seen: Seen, recipe: Recipe, number: int, weights: Float32Array) -> Iterator[Batch]:
    """One epoch, shuffled; the same for the same seed and number."""
    rng = np.random.default_rng((recipe.seed, number + 1))
    order, views = rng.permutation(len(seen)), rng.integers(seen.views, size=len(seen))
    for start in range(0, len(order), recipe.batch):
        rows = np.sort(order[start : start + recipe.batch])
        labels = seen.labels[rows]
        yield (
            seen.lower[rows, views[rows]].astype(np.float32),
            _targets(labels, len(weights)),
            weights[labels],
        )


def _seed_dropout(network: Network, recipe: Recipe, number: int) -> None:
    """Decides what is dropped in an epoch, so that it is the same in a training that was interrupted before it."""
    generator = network.whole.get_layer("dropout").seed_generator
    generator.state.assign(np.array([recipe.seed, number], np.uint32))


def _targets(labels: Labels, classes: int) -> Float32Array:
    return np.eye(classes, dtype=np.float32)[labels]


def _compile(model: keras.Model, recipe: Recipe, *, steps: int, peak: float) -> None:
    """Warm-up for a tenth of the steps, then a cosine down to nothing."""
    warm_up = max(1, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=max(1, steps - warm_up), warmup_target=peak, warmup_steps=warm_up
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    model.compile(optimizer, loss, jit_compile=False)
    optimizer.build(model.trainable_variables)
