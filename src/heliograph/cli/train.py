"""``heliograph train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliograph.cli.failures import clear_failures

if TYPE_CHECKING:
    from heliograph.training.classes.making import Made


def train(
    data: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="One folder of pictures a class; or train and test with these in them."
        ),
    ],
    name: Annotated[str, typer.Option(help="What the model is called: a-z, 0-9, dots and hyphens.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the training keeps its records, pictures and features [NAME-training here]. One that was "
            "interrupted goes on.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="How often each picture is seen [by their number: 2 to 15]."),
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option(help="Train the encoder's upper blocks too, not the last layer alone.")
    ] = True,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="For the model's card.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of all chance.")] = 1,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Begin again where an interrupted training could go on.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of a model that was not trained so.")
    ] = False,
) -> None:
    """Train a classifier of your own pictures, and put it into the store.

    A fifth of the pictures is held out to judge it by, or those in FOLDER/test. Needs the extra train.
    """
    with clear_failures():
        from heliograph.training import libraries

        libraries.check()
        from heliograph.bootstrap.parts import build_limits, build_store
        from heliograph.settings import read_settings
        from heliograph.training.classes.making import Order, make

        settings = read_settings()
        order = Order(
            data=data,
            name=name,
            out=out or Path(f"{name}-training"),
            store=settings.model_dir,
            encoder=build_store(settings).spec("efficientnet-lite0"),
            limits=build_limits(settings),
            licence=licence,
            epochs=epochs if fine_tune else 0,
            seed=seed,
            afresh=afresh,
            replace=replace,
        )
        _show(make(order), name)


def _show(made: Made, name: str) -> None:
    from heliograph.cli.output import printable

    judged, (low, high) = made.evaluation, made.evaluation.interval
    print(
        f"{name} {made.version}: {judged.accuracy:.1%} of {judged.total} held-out pictures right "
        f"(95 %: {low:.0%} to {high:.0%}), {made.minutes:.1f} minutes"
    )
    print(printable(f"confusion matrix: {made.confusion}"))
    if made.curves:
        print(printable(f"curves: {made.curves}"))
    print(printable(f"model: {made.package}"))
    print(
        f"`heliograph serve` answers at /v1/models/{name}/predict; one that runs already has it within two seconds."
    )
