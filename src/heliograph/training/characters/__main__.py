"""Trains, evaluates, exports and packages: ``python -m heliograph.training.characters --help``."""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.core import errors
from heliograph.core.pictures import Float32Array
from heliograph.training import libraries
from heliograph.training.characters import data, displacement, package
from heliograph.training.evaluation import Evaluation
from heliograph.training.progress import Meter, metered

if TYPE_CHECKING:
    from heliograph.training.characters.train import Epoch, Recipe
    from heliograph.training.runs import Run


def main() -> None:
    """Runs what the command line asks for."""
    arguments = parse()
    try:
        libraries.check()
        training, held_out = data.split(data.load(arguments.data))
        if arguments.validate:
            # Choices are made on a part of the training's characters; the held-out ones stay unseen.
            training, held_out = data.split(training, seed=7)
        make(training, held_out, out=arguments.out, recipe=recipe_of(arguments), afresh=arguments.afresh)
    except (OSError, ValueError, errors.HeliographError) as error:
        raise SystemExit(f"{error}") from error


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.training.characters", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with KMNIST's IDX or NPZ files")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for the model package and the run's records; an unfinished training there goes on",
    )
    parser.add_argument("--epochs", type=int, help="how often each character is seen (default: the recipe's)")
    parser.add_argument("--seed", type=int, help="of weights and augmentation")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="hold out 1,000 of the characters trained on instead, to compare recipes",
    )
    parser.add_argument("--afresh", action="store_true", help="begin again where a training could go on")
    return parser.parse_args()


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    from heliograph.training.characters.train import Recipe

    given = {name: getattr(arguments, name) for name in ("epochs", "seed")}
    return replace(Recipe(), **{name: value for name, value in given.items() if value is not None})


def make(
    training: data.Characters, held_out: data.Characters, *, out: Path, recipe: Recipe, afresh: bool = False
) -> Evaluation:
    """What the held-out characters say of the model whose package is in ``out`` afterwards.

    Raises:
        TrainingRefused: ``out`` holds an unfinished run of other data or another recipe, or cannot be written.
    """
    from heliograph.training.runs import opened

    facts = {"characters": len(training), "held_out": len(held_out), "sha256": digest(training, held_out)}
    with opened(out, training="characters", recipe=recipe, data=facts, afresh=afresh) as run:
        return carry_out(run, training, held_out, recipe)


def carry_out(run: Run, training: data.Characters, held_out: data.Characters, recipe: Recipe) -> Evaluation:
    """A model package in the run's folder, from training to card."""
    from heliograph.training import charts, exporting
    from heliograph.training.characters.train import train

    started, out = time.monotonic(), run.folder
    with metered("training", recipe.epochs) as meter:
        model = train(training, recipe, run, report=lambda epoch: _report(epoch, recipe, run, meter))
    weights = out / package.WEIGHTS
    probes = data.normalise(training.pictures[::20])[..., None]
    exporting.export(model, weights, probes=probes, temperature=recipe.temperature)
    evaluations, suggested = judge(weights, held_out)
    with metered("judging", 1) as meter:
        meter.say(f"the ONNX file computes what the network does ({len(probes)} characters)")
        for what, it in evaluations.items():
            meter.say(f"{what}: {it.accuracy:.4f} right, mean confidence {it.confidence:.4f}")
        meter.say(
            f"temperature {recipe.temperature:.2f}; these characters suggest {recipe.temperature * suggested:.2f}"
        )
    found = evaluations["as they are"]
    facts = package.Training(
        trained=len(training), epochs=recipe.epochs, seed=recipe.seed,
        minutes=(time.monotonic() - started) / 60, parameters=model.count_params(),
    )  # fmt: skip
    package.write(out, facts, found, displaced=evaluations)
    charts.draw_confusion(found.counts, data.LABELS, out / "confusion.png")
    charts.draw_curves(
        run.history(), {"loss": ["loss"], "share that is right": ["accuracy"]}, out / "curves.png"
    )
    run.finish({"accuracy": found.accuracy, "held_out": found.total})
    return found


def judge(weights: Path, held_out: data.Characters) -> tuple[dict[str, Evaluation], float]:
    """What the exported file is worth on the characters, moved or not, and what its logits should be divided by."""
    from heliograph.training.evaluation import best_temperature, evaluate
    from heliograph.training.exporting import runner

    run = runner(weights)

    def answers(characters: data.Characters) -> Float32Array:
        (logits,) = run(data.normalise(characters.pictures)[..., None])
        return logits

    evaluations = {
        what: evaluate(answers(displacement.displaced(held_out, **how)), held_out.labels)
        for what, how in displacement.DISPLACEMENTS.items()
    }
    return evaluations, best_temperature(answers(held_out), held_out.labels)


def digest(*parts: data.Characters) -> str:
    """Another one for other characters, or other ones held out."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part.pictures.tobytes() + part.labels.tobytes())
    return sha256.hexdigest()


def _report(epoch: Epoch, recipe: Recipe, run: Run, meter: Meter) -> None:
    run.record(epoch.number, loss=epoch.loss, accuracy=epoch.accuracy, seconds=epoch.seconds)
    meter.at(epoch.number)
    meter.say(
        f"epoch {epoch.number} of {recipe.epochs}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.4f}, "
        f"{epoch.seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
