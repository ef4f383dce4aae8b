"""Labels, trains, exports, judges and packages: ``python -m heliograph.training.background_removal --help``."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.adapters import engines
from heliograph.adapters.imaging.codec import PictureCodec
from heliograph.adapters.models.manifest import MANIFEST
from heliograph.adapters.models.store import FolderStore
from heliograph.core import errors
from heliograph.core.pictures import PictureLimits
from heliograph.core.ports import EngineOptions, ModelFile
from heliograph.serving.direct import DirectModel
from heliograph.training import libraries
from heliograph.training.background_removal import photographs, teacher
from heliograph.training.background_removal.photographs import Photograph
from heliograph.training.progress import metered
from heliograph.training.runs import TrainingRefused

if TYPE_CHECKING:
    import keras

    from heliograph.training.background_removal import package
    from heliograph.training.background_removal.beginning import Beginning
    from heliograph.training.background_removal.train import Recipe
    from heliograph.training.runs import Run

log = logging.getLogger("heliograph.training")

HELD_OUT_SHARE = 0.02
PROBES = 8


def main() -> None:
    """Runs what the command line asks for."""
    arguments = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        libraries.check()
        run(arguments)
    except (errors.HeliographError, OSError, ValueError) as error:
        raise SystemExit(f"{error}") from error
    except KeyboardInterrupt:
        raise SystemExit("Interrupted. The same command goes on after the last checkpoint.") from None


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m heliograph.training.background_removal", description=__doc__
    )
    add = parser.add_argument
    add("--photographs", type=Path, nargs="+", required=True, metavar="FOLDER",
        help="folders of photographs; NAME.mask.png, NAME.png or masks/NAME.png is the mask of NAME.jpg")  # fmt: skip
    add("--out", type=Path, required=True,
        help="folder for labels, curves and the model package; an unfinished training there goes on")  # fmt: skip
    add("--teacher", nargs="*", default=["u2netp"], metavar="MODEL",
        help="background removers that label photographs without a mask (default: u2netp)")  # fmt: skip
    add("--weights", type=Path, nargs="*", default=[], metavar="FOLDER",
        help="where the weights of U²-Net and U²-Netp are")  # fmt: skip
    add("--start-from", metavar="MODEL",
        help="a model of this network to go on from, such as silhouette, or the folder of its package "
        "(default: an encoder that knows ImageNet)")  # fmt: skip
    add("--judge", type=Path, metavar="FOLDER",
        help="pictures with masks beside them, to judge the model and its teachers by")  # fmt: skip
    add("--epochs", type=int, help="how often each photograph is seen (default: the recipe's)")
    add("--batch", type=int, help="photographs a step")
    add(
        "--sides",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="of the examples, for equal parts of the training",
    )
    add(
        "--frozen-blocks",
        type=int,
        help="so many of the encoder's 16 blocks stay as they are, which is quicker",
    )
    add("--seed", type=int, help="of weights and augmentation")
    add("--threads", type=int, default=os.cpu_count() or 1, help="that label and make examples")
    add("--afresh", action="store_true", help="begin again where an interrupted training could go on")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    """A model package in ``out/silhouette``, from labels to card."""
    from heliograph.training import runs
    from heliograph.training.background_removal import evaluate, package, train

    out, started = arguments.out, time.monotonic()
    store = FolderStore(out / "models", arguments.weights)
    begin, recipe = beginning_of(arguments, store), recipe_of(arguments)
    judged_by = evaluate.pairs(arguments.judge) if arguments.judge is not None else []
    with teachers(store, arguments.teacher, threads=arguments.threads) as models:
        labels = out / "labels" / teacher.signature(models)
        usable = labelled(photographs.find(arguments.photographs, labels), models, arguments.threads)
        learned, held_out = photographs.split(usable, HELD_OUT_SHARE, seed=0)
        about = {"photographs": len(learned), "sha256": digest(learned), "begins_with": begin.name}
        with runs.opened(
            out, training=package.NAME, recipe=recipe, data=about, afresh=arguments.afresh
        ) as opened:
            steps = recipe.epochs * (len(learned) // recipe.batch)
            with metered("training", steps) as meter:
                model = train.train(
                    learned, held_out, recipe, opened, begin=begin, threads=arguments.threads, meter=meter
                )  # fmt: skip
            facts = package.Facts(
                sources=Counter(each.path.parent.name for each in learned),
                by_hand=sum(each.by_hand for each in learned),
                teachers=tuple(each.spec.title for each in models),
                side=begin.side or recipe.sides[-1], begins_with=begin.name, recipe=recipe,
                minutes=(time.monotonic() - started) / 60,
            )  # fmt: skip
            finish(model, held_out, facts, models, opened, judged_by)


def finish(
    model: keras.Model,
    held_out: Sequence[Photograph],
    facts: package.Facts,
    models: Sequence[DirectModel],
    opened: Run,
    judged_by: Sequence[tuple[Path, Path]],
) -> None:
    """Exports, judges and describes the network; draws curves and the worst pictures."""
    from heliograph.training import charts
    from heliograph.training.background_removal import evaluate, package, train

    folder = opened.folder / package.NAME
    folder.mkdir(exist_ok=True)
    examples = train.plain_examples(held_out[:PROBES], facts.side)
    package.export(model, folder / package.WEIGHTS, probes=train.batch_of(examples)[0])
    package.write(folder, facts, None, compared={})
    charts.draw_curves(
        opened.history(), {"loss": ["loss"], "mean IoU": ["held_out_iou"]}, opened.folder / "curves.png"
    )
    results = {"minutes": facts.minutes}
    if judged_by:
        with loaded(FolderStore(opened.folder), package.NAME, threads=1) as ours:
            judgement = evaluate.judge(ours, judged_by)
            evaluate.draw_worst(ours, judgement, opened.folder / "worst.png")
        compared = {each.spec.name: evaluate.judge(each, judged_by) for each in models}
        package.write(folder, facts, judgement, compared=compared)
        score = judgement.mean
        results |= {"iou": score.iou, "boundary_f": score.boundary_f, "mae": score.mae}
        log.info("mean IoU %.4f, boundary F %.4f, MAE %.4f", score.iou, score.boundary_f, score.mae)
    opened.finish(results)
    log.info("model: %s", folder)


def beginning_of(arguments: argparse.Namespace, store: FolderStore) -> Beginning:
    """What the network begins with.

    Raises:
        ModelUnknown, ModelUnavailable: there is no such model to go on from, or its weights are not here.
        ModelInvalid: it is another network.
    """
    from heliograph.training import encoder
    from heliograph.training.background_removal import beginning

    if arguments.start_from is not None:
        folder = Path(arguments.start_from).resolve()
        if (folder / MANIFEST).is_file():
            # The folder alone: a package that ships is not what is meant.
            store = FolderStore(folder.parent, shipped=folder.parent)
            return beginning.from_package(store.find(folder.name))
        return beginning.from_package(store.find(arguments.start_from))
    return beginning.from_imagenet(encoder.imagenet_state(store.spec("efficientnet-lite0")))


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    from heliograph.training.background_removal.train import CONTINUED, Recipe

    base = Recipe() if arguments.start_from is None else CONTINUED
    names = ("epochs", "batch", "sides", "frozen_blocks", "seed")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if "sides" in given:
        given["sides"] = tuple(given["sides"])
    return replace(base, **given)


def labelled(found: Sequence[Photograph], models: Sequence[DirectModel], threads: int) -> list[Photograph]:
    """The photographs that have a label with a subject, once those without a label have been given one.

    Raises:
        TrainingRefused: there are not two, or labels are missing and there is no teacher.
    """
    missing = [photograph for photograph in found if not photograph.label.is_file()]
    if missing and not models:
        raise TrainingRefused(f"{missing[0].path} has no mask, and no --teacher is named.")
    with metered("labelling", len(missing)) as meter:
        answers = teacher.label(missing, teacher.taught_by(models), threads=threads)
        for done, (_, problem) in enumerate(answers, start=1):
            meter.at(done)
            if problem is not None:
                meter.say(problem)
    usable = [
        each for each in found if each.label.is_file() and photographs.has_subject(photographs.read(each)[1])
    ]
    if len(usable) < 2:
        raise TrainingRefused(f"{len(usable)} of {len(found)} photographs have a subject; two are the least.")
    return usable


@contextmanager
def teachers(store: FolderStore, names: Sequence[str], *, threads: int) -> Iterator[list[DirectModel]]:
    """The background removers of these names."""
    with ExitStack() as stack:
        yield [stack.enter_context(loaded(store, name, threads=threads)) for name in names]


def loaded(store: FolderStore, name: str, *, threads: int) -> DirectModel:
    """A model of the store that answers so many threads at once.

    Raises:
        ModelUnknown, ModelUnavailable: there is no such model, or its weights are not here.
    """
    file: ModelFile = store.find(name)
    engine = engines.loader()(file, EngineOptions(streams=threads, threads_per_stream=1, max_batch=1))
    return DirectModel(file.spec, engine, PictureCodec(PictureLimits()), streams=threads)


def digest(found: Sequence[Photograph]) -> str:
    """Of the names of the photographs and of their labels' bytes."""
    whole = hashlib.sha256()
    for photograph in found:
        whole.update(photograph.path.name.encode() + photograph.label.read_bytes())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
