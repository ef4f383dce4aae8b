"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import keras
import numpy as np

from heliograph.core.pictures import Float32Array
from heliograph.training.characters import augmentation, network
from heliograph.training.characters.data import LABELS, Characters, normalise
from heliograph.training.runs import Run, TrainingRefused

CHECKPOINT = "network.keras"
SETTLING_STEPS = 60
"""At least; `network` forgets a twentieth of what was measured before in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how fast to train."""

    epochs: int = 42
    seed: int = 1
    batch: int = 64
    peak_learning_rate: float = 3e-3
    warm_up_epochs: int = 3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    temperature: float = 0.5
    """The logits are divided by it at export, so that the probabilities can be believed."""
    average: float = 0.998
    """How much of the moving average of the weights each step keeps, in a training of many steps."""

    def average_over(self, steps: int) -> float:
        """The same in a training of so many steps: its weights are averaged over its last fifth at most.

        Otherwise a short training would end with the weights that it began with.
        """
        return max(0.0, min(self.average, 1 - 5 / steps))


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of the training's curve."""

    number: int
    """From 1 on."""
    loss: float
    accuracy: float
    """On pictures as they were trained on, augmented and mixed."""
    seconds: float


def train(
    characters: Characters, recipe: Recipe, run: Run, *, report: Callable[[Epoch], None]
) -> keras.Model:
    """A trained network, from the run's checkpoint on where it has one.

    A training that was interrupted ends with other weights than one that was not: its dropout starts anew.

    Raises:
        TrainingRefused: there are not enough characters for one batch.
    """
    keras.utils.set_random_seed(recipe.seed)
    steps = len(characters) // recipe.batch
    if not steps:
        raise TrainingRefused(
            f"{len(characters)} characters are fewer than one batch of {recipe.batch}: make it smaller."
        )
    model = compiled(recipe, steps=steps)
    checkpoint = run.checkpoint()
    if checkpoint is not None:
        model.load_weights(checkpoint.folder / CHECKPOINT)
    for number, batches in prepare_ahead(
        characters, recipe, range(checkpoint.number if checkpoint else 0, recipe.epochs)
    ):
        started = time.monotonic()
        loss, accuracy = np.mean([model.train_on_batch(*batch) for batch in batches], axis=0).tolist()
        seconds = time.monotonic() - started
        report(Epoch(number=number + 1, loss=loss, accuracy=accuracy, seconds=seconds))
        run.save(number + 1, lambda folder: model.save(folder / CHECKPOINT))
    model.optimizer.finalize_variable_values(model.trainable_variables)
    settle(model, characters, recipe)
    return model


def compiled(recipe: Recipe, *, steps: int) -> keras.Model:
    """A fresh network with its optimiser: warm-up, then a cosine down to nothing."""
    total = recipe.epochs * steps
    warm_up = max(1, min(recipe.warm_up_epochs * steps, total // 2))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, total - warm_up),
        warmup_target=recipe.peak_learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=recipe.weight_decay, use_ema=True, ema_momentum=recipe.average_over(total)
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    model = network.build()
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    optimizer.build(model.trainable_variables)
    return model


Batch = tuple[Float32Array, Float32Array]


def prepare_ahead(
    characters: Characters, recipe: Recipe, numbers: range
) -> Iterator[tuple[int, list[Batch]]]:
    """Each epoch's number and batches; the next epoch is prepared in a thread while one is trained on."""
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(prepare, characters, recipe, number) for number in numbers[:1]]
        for number in numbers:
            batches = coming.pop().result()
            if number + 1 in numbers:
                coming.append(thread.submit(prepare, characters, recipe, number + 1))
            yield number, batches


def prepare(characters: Characters, recipe: Recipe, number: int) -> list[Batch]:
    """The batches of one epoch: shuffled, augmented, mixed; the same for the same seed and number."""
    rng = np.random.default_rng((recipe.seed, number))
    order = rng.permutation(len(characters))
    targets = np.eye(len(LABELS), dtype=np.float32)
    batches = []
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        part = characters.take(order[start : start + recipe.batch])
        pictures = augmentation.augment(part.pictures.astype(np.float32), rng)
        pictures, mixed = augmentation.mix(pictures, targets[part.labels], rng)
        batches.append((normalise(pictures)[..., None], mixed))
    return batches


def settle(model: keras.Model, characters: Characters, recipe: Recipe) -> None:
    """Measures the normalisations anew: for the averaged weights, on pictures that are not mixed."""
    rng = np.random.default_rng((recipe.seed, recipe.epochs))
    steps = len(characters) // recipe.batch
    for _ in range(-(-SETTLING_STEPS // steps)):
        for indices in np.array_split(rng.permutation(len(characters)), steps):
            model(normalise(characters.pictures[indices])[..., None], training=True)
