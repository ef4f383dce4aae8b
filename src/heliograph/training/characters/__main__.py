"""Trains, evaluates, exports and packages: ``python -m heliograph.training.characters --help``."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.training.characters import data, evaluate, package

if TYPE_CHECKING:
    from heliograph.core.pictures import Float32Array
    from heliograph.training.characters.train import Epoch, Recipe

log = logging.getLogger("heliograph.training")

DISPLACEMENTS = {
    "as they are": {"scale": 1.0, "down": 0.0, "right": 0.0},
    "2 pixels down": {"scale": 1.0, "down": 2.0, "right": 0.0},
    "2 pixels to the left": {"scale": 1.0, "down": 0.0, "right": -2.0},
    "80 % of the size": {"scale": 0.8, "down": 0.0, "right": 0.0},
    "70 % of the size, 2 pixels up and to the right": {"scale": 0.7, "down": -2.0, "right": 2.0},
}


def main() -> None:
    """Runs what the command line asks for."""
    arguments = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        training, held_out = data.split(data.load(arguments.data))
        if arguments.validate:
            # Choices are made on a part of the training's characters; the held-out ones stay unseen.
            training, held_out = data.split(training, seed=7)
        arguments.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error
    run(training, held_out, out=arguments.out, recipe=recipe_of(arguments))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.training.characters", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with KMNIST's IDX or NPZ files")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the model package; an unfinished training there goes on",
    )
    parser.add_argument("--epochs", type=int, help="how often each character is seen (default: the recipe's)")
    parser.add_argument("--seed", type=int, help="of weights and augmentation")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="hold out 1,000 of the characters trained on instead, to compare recipes",
    )
    return parser.parse_args()


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    from heliograph.training.characters.train import Recipe

    given = {name: getattr(arguments, name) for name in ("epochs", "seed")}
    return Recipe(**{name: value for name, value in given.items() if value is not None})


def run(training: data.Characters, held_out: data.Characters, *, out: Path, recipe: Recipe) -> None:
    """A model package in ``out``, from training to card."""
    from heliograph.training.characters.export import export
    from heliograph.training.characters.train import train

    started, losses = time.monotonic(), []

    def report(epoch: Epoch) -> None:
        losses.append(epoch.loss)
        log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, %.1f s",
            epoch.number + 1, recipe.epochs, epoch.loss, epoch.accuracy, epoch.seconds,
        )  # fmt: skip

    model = train(training, recipe, checkpoint=out / "checkpoint.keras", report=report)
    weights = out / package.WEIGHTS
    probes = data.normalise(training.pictures[::20])[..., None]
    export(model, weights, probes=probes, temperature=recipe.temperature)
    log.info("the ONNX file computes what the network does (%d characters)", len(probes))
    evaluations = {
        what: evaluate.evaluate(answers(weights, moved), held_out.labels)
        for what, moved in (
            (what, evaluate.displaced(held_out, **how)) for what, how in DISPLACEMENTS.items()
        )
    }
    for what, evaluation in evaluations.items():
        log.info("%s: %.4f right, mean confidence %.4f", what, evaluation.accuracy, evaluation.confidence)
    suggested = recipe.temperature * evaluate.best_temperature(answers(weights, held_out), held_out.labels)
    log.info("temperature %.2f; these characters suggest %.2f", recipe.temperature, suggested)
    facts = package.Training(
        trained=len(training), epochs=recipe.epochs, seed=recipe.seed,
        minutes=(time.monotonic() - started) / 60, parameters=model.count_params(),
    )  # fmt: skip
    package.write(out, facts, evaluations["as they are"], displaced=evaluations)
    draw(evaluations["as they are"], losses, out)


def answers(weights: Path, characters: data.Characters) -> Float32Array:
    """The logits of the exported file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    logits: Float32Array
    (logits,) = session.run(
        None, {session.get_inputs()[0].name: data.normalise(characters.pictures)[:, None]}
    )
    return logits


def draw(evaluation: evaluate.Evaluation, losses: list[float], out: Path) -> None:
    """Confusion matrix and curve as pictures, where matplotlib is installed."""
    try:
        evaluate.draw_confusion(evaluation, out / "confusion.png")
        evaluate.draw_curve(losses, out / "curve.png")
    except ImportError:
        log.info("without matplotlib there are no pictures")


if __name__ == "__main__":
    main()
