"""The training loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import keras
import numpy as np

from heliograph.adapters.imaging.scoring import intersection_over_union
from heliograph.core.pictures import Float32Array
from heliograph.training import encoder
from heliograph.training.background_removal import losses, network
from heliograph.training.background_removal.augmentation import Example, Examples
from heliograph.training.background_removal.averaging import Averages
from heliograph.training.background_removal.beginning import Beginning
from heliograph.training.background_removal.photographs import Photograph
from heliograph.training.progress import Meter
from heliograph.training.runs import Run, TrainingRefused

Tensor: TypeAlias = Any
Batch: TypeAlias = tuple[Float32Array, list[Float32Array]]

CHECKPOINT_FILE = "learner.keras"
BATCHES_AHEAD = 8
SETTLING_BATCHES = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How long and how fast to train."""

    sides: tuple[int, ...] = (network.SIDE_PIXELS,)
    """Of the examples in pixels, each for an equal part of the epochs: where time is short, most is learned on few."""
    epochs: int = 24
    seed: int = 2
    batch: int = 32
    encoder_learning_rate: float = 5e-4
    decoder_learning_rate: float = 2.5e-3
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    gradient_norm: float = 5.0
    average: float = 0.996
    """How much of the moving average of the weights each step keeps."""
    averaged_after: tuple[float, ...] = (1.0,)
    """The shares of the epochs after which that average is taken; what comes out is the mean, see `Averages`."""
    edge_weight: float = 2.0
    """How often the places at an edge count, see `losses.MatteLoss`."""
    frozen_blocks: int = 0
    """So many of the encoder's blocks, and its stem, stay as they were at the beginning."""

    def side(self, epoch: int) -> int:
        """Of the examples in an epoch, from 0."""
        return self.sides[min(epoch * len(self.sides) // self.epochs, len(self.sides) - 1)]

    def is_averaged(self, epoch: int) -> bool:
        """Whether the weights after an epoch, from 0, are among those of which the mean comes out."""
        return epoch + 1 in {max(1, round(share * self.epochs)) for share in self.averaged_after}


CONTINUED = Recipe(
    sides=(256,), epochs=12, seed=1, batch=16, encoder_learning_rate=1e-4, decoder_learning_rate=5e-4,
    average=0.998, averaged_after=(0.5, 1.0), edge_weight=4.0,
)  # fmt: skip
"""For a network that has learned already. Small photographs are blurred where they are enlarged to what is served."""


@keras.saving.register_keras_serializable("heliograph")
class TwoRates(keras.optimizers.AdamW):  # type: ignore[misc]  # Keras has no types
    """AdamW that moves the encoder, which has learned already, more slowly than the rest."""

    def __init__(self, *args: object, encoder_share: float = 1.0, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.encoder_share = encoder_share

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        """One variable's step."""
        # Backends hand over variables of their own, without the path.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        if path.startswith(f"{encoder.PREFIX}_"):
            learning_rate = learning_rate * self.encoder_share
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """What a checkpoint needs to build it again."""
        return {**super().get_config(), "encoder_share": self.encoder_share}


def compiled(recipe: Recipe, *, steps: int, begin: Beginning, side: int) -> keras.Model:
    """The network with the weights that it begins with, and its optimiser: warm-up, then a cosine."""
    total = recipe.epochs * steps
    warm_up = max(1, min(recipe.warm_up_steps, total // 4))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, total - warm_up),
        alpha=0.01,
        warmup_target=recipe.decoder_learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = TwoRates(
        rate,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.gradient_norm,
        use_ema=True,
        ema_momentum=recipe.average,
        encoder_share=recipe.encoder_learning_rate / recipe.decoder_learning_rate,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model = begin.build(side)
    encoder.freeze(model, blocks=recipe.frozen_blocks)
    levels = len(model.outputs)
    model.compile(
        optimizer,
        loss=[losses.MatteLoss(edge_weight=recipe.edge_weight)] * levels,
        loss_weights=losses.weights(levels),
        jit_compile=keras.backend.backend() == "jax",  # elsewhere it takes longer than it saves
    )
    optimizer.build(model.trainable_variables)
    return model


def train(
    photographs: Sequence[Photograph],
    held_out: Sequence[Photograph],
    recipe: Recipe,
    run: Run,
    *,
    begin: Beginning,
    threads: int,
    meter: Meter,
) -> keras.Model:
    """A trained network, from the run's checkpoint on where it has one.

    Args:
        photographs: to learn from, all with labels.
        held_out: looked at after each epoch, for the curve alone.
        recipe: see `Recipe`.
        run: where checkpoints and the curve are kept.
        begin: the weights before the first step.
        threads: that make examples.
        meter: told every step.

    Raises:
        TrainingRefused: there are fewer photographs than one batch has.
    """
    keras.utils.set_random_seed(recipe.seed)
    steps = len(photographs) // recipe.batch
    if not steps:
        raise TrainingRefused(f"{len(photographs)} photographs are fewer than one batch of {recipe.batch}.")
    cv2.setNumThreads(1)  # the examples have threads of their own
    checkpoint = run.checkpoint()
    first = checkpoint.number if checkpoint else 0
    side = recipe.side(first)
    model, averages = compiled(recipe, steps=steps, begin=begin, side=side), Averages()
    if checkpoint is not None:
        model.load_weights(checkpoint.folder / CHECKPOINT_FILE)
        averages.read(checkpoint.folder)
    with ThreadPoolExecutor(threads) as pool:
        for number in range(first, recipe.epochs):
            meter.say(f"epoch {number + 1} of {recipe.epochs}")
            if recipe.side(number) != side:
                side = recipe.side(number)
                model = carried_over(model, compiled(recipe, steps=steps, begin=begin, side=side))
            examples = Examples(photographs, side=side)
            looked_at = plain_examples(held_out, side)
            made = make_batches(pool, examples, recipe, number, steps)
            loss = learn(model, made, meter, before=number * steps)
            iou = mean_iou(model, looked_at, recipe.batch)
            run.record(number + 1, loss=loss, held_out_iou=iou)
            meter.say(f"epoch {number + 1} of {recipe.epochs}: loss {loss:.4f}, held-out IoU {iou:.4f}")
            if recipe.is_averaged(number):
                averages.take(model)
            last = number + 1 == recipe.epochs
            run.save(
                number + 1, partial(write_checkpoint, model, averages), every_seconds=0 if last else None
            )
        averages.put(model)
        examples = Examples(photographs, side=side)
        settle(model, make_batches(pool, examples, recipe, recipe.epochs, min(steps, SETTLING_BATCHES)))
    return model


def learn(model: keras.Model, made: Iterable[Batch], meter: Meter, *, before: int) -> float:
    """Takes a step a batch, after so many ``before``; the mean of their losses."""
    found = []
    for step, (pictures, targets) in enumerate(made, start=before + 1):
        wanted = targets[: len(model.outputs)]
        found.append(float(np.asarray(model.train_on_batch(pictures, wanted)).flat[0]))
        meter.at(step)
    return sum(found) / len(found)


def write_checkpoint(model: keras.Model, averages: Averages, folder: Path) -> None:
    """The network with its optimiser, and the averages so far, in a folder."""
    model.save(folder / CHECKPOINT_FILE)
    averages.write(folder)


def carried_over(model: keras.Model, other: keras.Model) -> keras.Model:
    """``other``, which differs in the side of its pictures alone, with all that ``model`` and its optimiser know."""
    other.set_weights(model.get_weights())
    for ours, theirs in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        ours.assign(theirs)
    return other


def make_batches(
    pool: ThreadPoolExecutor, examples: Examples, recipe: Recipe, number: int, steps: int
) -> Iterator[Batch]:
    """``steps`` batches of one epoch, made a few ahead; the same for the same seed and number."""
    order = np.random.default_rng((recipe.seed, number)).permutation(len(examples))
    waiting: deque[Future[Batch]] = deque()
    for step in range(steps + BATCHES_AHEAD):
        if step < steps:
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch].tolist()
            waiting.append(pool.submit(_batch, examples, chosen, (recipe.seed, number)))
        if step >= BATCHES_AHEAD:
            yield waiting.popleft().result()


def _batch(examples: Examples, chosen: Sequence[int], seed: tuple[int, ...]) -> Batch:
    return batch_of([examples.make(each, np.random.default_rng((*seed, each))) for each in chosen])


def batch_of(examples: Sequence[Example]) -> Batch:
    """Pictures as the network wants them, and the labels at the resolution of each of its mattes."""
    pictures = np.stack([rgb for rgb, _ in examples]).astype(np.float32)
    pictures -= np.float32(encoder.MEAN)
    pictures *= np.float32(1 / encoder.STD)
    labels = np.stack([label for _, label in examples])[..., None]
    targets: list[Float32Array] = [labels * np.float32(1 / 255)]
    for _ in range(network.LEVELS - 1):
        finer = targets[-1]
        sums: Float32Array = (
            finer[:, ::2, ::2] + finer[:, 1::2, ::2] + finer[:, ::2, 1::2] + finer[:, 1::2, 1::2]
        )
        targets.append(sums / np.float32(4))
    return pictures, targets


def plain_examples(photographs: Sequence[Photograph], side: int) -> list[Example]:
    """The photographs as they are, stretched to the side."""
    examples = Examples(photographs, side=side)
    return [examples.plain(number) for number in range(len(examples))]


def mean_iou(model: keras.Model, examples: Sequence[Example], batch: int) -> float:
    """Of the network's answers at its own resolution, half opaque and more; NaN for no examples."""
    found = []
    for start in range(0, len(examples), batch):
        part = examples[start : start + batch]
        # A batch of another size would be compiled anew.
        filled = [*part, *[part[-1]] * (batch - len(part))]
        finest, *_ = keras.tree.flatten(model.predict_on_batch(batch_of(filled)[0]))
        logits = np.asarray(finest)[: len(part), ..., 0]
        for answer, (_, label) in zip(logits > 0, part, strict=True):
            found.append(intersection_over_union(answer, label > 127))
    return float(np.mean(found)) if found else float("nan")


def settle(model: keras.Model, made: Iterable[Batch]) -> None:
    """Measures the normalisations anew, for the averaged weights, where there are any."""
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers):
        return
    for pictures, _ in made:
        model(pictures, training=True)
